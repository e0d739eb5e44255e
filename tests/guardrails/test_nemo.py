import asyncio
import logging
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from guardrails.nemo import Rails, attempt, refuses
from rag.types import Check


def judge(text: str, context: Mapping[str, Any]) -> Iterator[Check]:
    if "raise" in text:
        raise ValueError("a secret of the user")
    yield Check("word", "block" if "bad" in text else "pass", score=float(len(text)))


@pytest.fixture(scope="module")
def rails() -> Rails:
    rails = Rails("input", judge)
    rails.load()
    return rails


def ask(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": text}]


async def test_every_check_comes_back_with_its_score(rails: Rails) -> None:
    assert await rails.run(ask("fine")) == (Check("word", "pass", 4.0),)
    assert await rails.run(ask("bad one")) == (Check("word", "block", 7.0),)


async def test_rails_that_break_refuse(rails: Rails, caplog: pytest.LogCaptureFixture) -> None:
    checks = await rails.run(ask("please raise"))
    assert [(c.name, c.action, c.detail) for c in checks] == [("nemo", "error", "blocked")]
    assert "secret" not in caplog.text
    assert len(caplog.text) < 500


async def test_rails_that_never_judged_refuse() -> None:
    rails = Rails("output", judge)
    rails.load()
    context = {"role": "context", "content": {"relevant_chunks": ""}}
    checks = await rails.run([context, {"role": "assistant", "content": "without a user message NeMo runs no rail"}])
    assert [(c.name, c.action) for c in checks] == [("nemo", "error")]


async def test_parallel_calls_keep_their_own_verdicts(rails: Rails) -> None:
    texts = [("bad " if n % 3 == 0 else "good ") + "x" * n for n in range(24)]
    runs = await asyncio.gather(*(rails.run(ask(text)) for text in texts))
    assert [[c.score for c in run] for run in runs] == [[float(len(text))] for text in texts]
    assert [refuses(run) for run in runs] == [text.startswith("bad") for text in texts]


async def test_nothing_is_kept_between_calls(rails: Rails) -> None:
    for n in range(300):
        await rails.run(ask(f"question {n}"))
    assert rails.nemo is not None
    assert len(rails.nemo.events_history_cache) == 0


@pytest.mark.parametrize("text", ["{{ 7*7 }}", "$user_message", '"x" \' \\n', "- a: b", "\ud800", "", "  space "])
async def test_nemo_leaves_odd_text_alone(text: str) -> None:
    seen = []

    def note(text: str, context: Mapping[str, Any]) -> list[Check]:
        seen.append(text)
        return [Check("seen", "pass")]

    rails = Rails("input", note)
    rails.load()
    assert not refuses(await rails.run(ask(text)))
    assert seen == [text]


async def test_rails_must_be_loaded() -> None:
    with pytest.raises(RuntimeError, match="load"):
        await Rails("input", judge).run(ask("x"))


def test_a_check_that_raises_refuses_and_tells_only_its_type(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> Check:
        raise KeyError("text of the user")

    with caplog.at_level(logging.ERROR):
        made = attempt("length", broken)
    assert (made.name, made.action, made.detail) == ("length", "error", "KeyError")
    assert "text of the user" not in caplog.text


def test_a_check_is_timed() -> None:
    assert attempt("x", lambda: Check("x", "pass", 0.5)).ms >= 0


def test_use_is_not_reported_even_without_the_environment() -> None:
    code = (
        "import threading; from guardrails.nemo import Rails; from nemoguardrails import telemetry\n"
        "Rails('input', lambda text, context: []).load()\n"
        "assert not telemetry._is_usage_stats_enabled()\n"
        "assert threading.active_count() == 1, threading.enumerate()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={"PATH": ""}, check=False)
    assert run.returncode == 0, run.stderr
