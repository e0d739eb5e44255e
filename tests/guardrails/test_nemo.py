import asyncio
import gc
import logging

import pytest
from nemoguardrails.actions.rail_outcome import RailOutcome

from guardrails.nemo import Judge, Rails, SideName
from rag.types import Check, Verdict

UNCHECKED = "unchecked"


def judging(text: str) -> Judge:
    """A judge of `text` that blocks what is bad."""

    async def judge() -> Verdict:
        if "raise" in text:
            raise ValueError("a secret of the user")
        bad = "bad" in text
        return Verdict(not bad, (Check("word", "block" if bad else "pass", score=float(len(text))),), "no" * bad)

    return judge


@pytest.fixture(scope="module")
def rails() -> Rails:
    rails = Rails("input")
    rails.load()
    return rails


async def run(rails: Rails, text: str) -> Verdict:
    return await rails.run(judging(text), UNCHECKED)


async def test_the_judges_verdict_comes_back(rails: Rails) -> None:
    assert await run(rails, "fine") == Verdict(True, (Check("word", "pass", 4.0),))
    assert await run(rails, "bad one") == Verdict(False, (Check("word", "block", 7.0),), "no")


async def test_rails_that_break_refuse(rails: Rails, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        verdict = await run(rails, "please raise")
    assert verdict == Verdict(False, (Check("nemo", "error", detail="stopped"),), UNCHECKED)
    assert "secret" not in caplog.text
    assert len(caplog.text) < 500


@pytest.mark.parametrize(("flow", "how"), [("another flow", "unjudged"), ("check question", "stopped")])
async def test_a_flow_that_ends_otherwise_than_its_judge_refuses(flow: str, how: str) -> None:
    rails = Rails("input")
    rails.load()
    assert rails.runtime is not None
    rails.flow = flow
    rails.runtime.register_action(lambda: RailOutcome.block(reason="its own"), "check_question")
    assert await run(rails, "fine") == Verdict(False, (Check("nemo", "error", detail=how),), UNCHECKED)


@pytest.mark.parametrize("side", ["input", "output"])
async def test_each_side_is_one_flow_of_its_nemo_configuration(side: SideName) -> None:
    rails = Rails(side)
    rails.load()
    assert rails.runtime is not None
    assert list(rails.runtime.flow_configs) == [rails.flow] == getattr(rails.runtime.config.rails, side).flows
    assert not (await run(rails, "bad")).allowed


async def test_parallel_calls_keep_their_own_verdicts(rails: Rails) -> None:
    texts = [("bad " if n % 3 == 0 else "good ") + "x" * n for n in range(24)]
    runs = await asyncio.gather(*(run(rails, text) for text in texts))
    assert [[c.score for c in verdict.checks] for verdict in runs] == [[float(len(text))] for text in texts]
    assert [verdict.allowed for verdict in runs] == [text.startswith("good") for text in texts]


async def test_nothing_is_kept_between_calls(rails: Rails) -> None:
    def objects() -> int:
        gc.collect()
        return len(gc.get_objects())

    await run(rails, "first")
    before = objects()
    for n in range(300):
        await run(rails, f"question {n}")
    assert objects() - before < 300


async def test_rails_must_be_loaded() -> None:
    with pytest.raises(RuntimeError, match="load"):
        await run(Rails("input"), "x")
