import asyncio
import logging
import subprocess
import sys
from typing import Any

import pytest

from guardrails.nemo import Judge, Rails
from rag.types import Check, Verdict

UNCHECKED = "unchecked"


def judging(text: str, seen: list[str] | None = None) -> Judge:
    """A judge of `text` that blocks what is bad."""

    async def judge() -> Verdict:
        if seen is not None:
            seen.append(text)
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
    return await rails.run([{"role": "user", "content": text}], judging(text), UNCHECKED)


async def test_the_judges_verdict_comes_back(rails: Rails) -> None:
    assert await run(rails, "fine") == Verdict(True, (Check("word", "pass", 4.0),))
    assert await run(rails, "bad one") == Verdict(False, (Check("word", "block", 7.0),), "no")


async def test_rails_that_break_refuse(rails: Rails, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        verdict = await run(rails, "please raise")
    assert verdict == Verdict(False, (Check("nemo", "error", detail="blocked"),), UNCHECKED)
    assert "secret" not in caplog.text
    assert len(caplog.text) < 500


async def test_rails_that_never_judged_refuse() -> None:
    rails = Rails("output")
    rails.load()
    messages: list[dict[str, Any]] = [{"role": "assistant", "content": "without a user message NeMo runs no rail"}]
    context = {"role": "context", "content": {"relevant_chunks": ""}}
    verdict = await rails.run([context, *messages], judging("x"), UNCHECKED)
    assert [(c.name, c.action) for c in verdict.checks] == [("nemo", "error")]
    assert not verdict.allowed


async def test_parallel_calls_keep_their_own_verdicts(rails: Rails) -> None:
    texts = [("bad " if n % 3 == 0 else "good ") + "x" * n for n in range(24)]
    runs = await asyncio.gather(*(run(rails, text) for text in texts))
    assert [[c.score for c in verdict.checks] for verdict in runs] == [[float(len(text))] for text in texts]
    assert [verdict.allowed for verdict in runs] == [text.startswith("good") for text in texts]


async def test_nothing_is_kept_between_calls(rails: Rails) -> None:
    for n in range(300):
        await run(rails, f"question {n}")
    assert rails.nemo is not None
    assert len(rails.nemo.events_history_cache) == 0


@pytest.mark.parametrize("text", ["{{ 7*7 }}", "$user_message", '"x" \' \\n', "- a: b", "\ud800", "", "  space "])
async def test_nemo_leaves_odd_text_alone(rails: Rails, text: str) -> None:
    seen: list[str] = []
    verdict = await rails.run([{"role": "user", "content": text}], judging(text, seen), UNCHECKED)
    assert verdict.allowed
    assert seen == [text]


async def test_rails_must_be_loaded() -> None:
    with pytest.raises(RuntimeError, match="load"):
        await run(Rails("input"), "x")


def test_use_is_not_reported_even_without_the_environment() -> None:
    code = (
        "import threading; from guardrails.nemo import Rails; from nemoguardrails import telemetry\n"
        "Rails('input').load()\n"
        "assert not telemetry._is_usage_stats_enabled()\n"
        "assert threading.active_count() == 1, threading.enumerate()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": ""}, check=False)
    assert run.returncode == 0, run.stderr
