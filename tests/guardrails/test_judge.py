import logging
import threading
from typing import ClassVar

import pytest

from guardrails.check import CheckPolicy, Finding, Masking, Subject, action_field
from guardrails.judge import judge
from guardrails.policy import InputPolicy
from guardrails.workers import Workers

SECRET = "text of the user"
HANG = threading.Event()


class Word(CheckPolicy):
    """Does what the text tells it."""

    action: Masking = action_field("block")

    def check(self, subject: Subject) -> Finding | None:
        match subject.text:
            case "raise":
                raise KeyError(SECRET)
            case "panic":
                raise SystemExit(SECRET)
            case "hang":
                HANG.wait()
            case "nothing":
                return None
        return Finding(subject.text in {"hit", "mild"}, 0.5, "why", mild=subject.text == "mild", masked=("[masked]",))


class Gate(Word):
    gate: ClassVar[bool] = True
    refusal: ClassVar[str] = "too_long"


class Words(InputPolicy):
    first: Word = Word()
    second: Word = Word(action="flag", on_error="open")


QUIET = {name: {"action": "off"} for name, _ in InputPolicy().checks()}


def side(**checks: object) -> Words:
    return Words.model_validate({**QUIET, **checks})


@pytest.fixture(scope="module")
def workers() -> Workers:
    return Workers()


async def test_every_check_is_told_with_what_came_of_it(workers: Workers) -> None:
    verdict = await judge(side(), Subject("hit"), workers)
    assert [(c.name, c.action, c.score, c.detail) for c in verdict.checks] == [
        ("first", "block", 0.5, "why"),
        ("second", "flag", 0.5, "why"),
    ]
    assert (verdict.allowed, verdict.refusal) == (False, InputPolicy().refusal)
    assert all(c.ms >= 0 for c in verdict.checks)


async def test_no_hit_passes_and_a_mild_one_is_only_flagged(workers: Workers) -> None:
    for text, action in (("fine", "pass"), ("mild", "flag"), ("nothing", "skipped")):
        verdict = await judge(side(), Subject(text), workers)
        assert verdict.allowed
        assert {c.action for c in verdict.checks} == {action}


async def test_masked_texts_come_only_from_a_check_that_masks(workers: Workers) -> None:
    masking = await judge(side(first={"action": "mask"}), Subject("hit"), workers)
    assert (masking.allowed, masking.masked) == (True, ("[masked]",))
    assert (await judge(side(first={"action": "flag"}), Subject("hit"), workers)).masked == ()


@pytest.mark.parametrize(("text", "reason"), [("raise", "KeyError"), ("panic", "SystemExit"), ("hang", "timeout")])
async def test_a_broken_check_does_what_its_policy_says(
    workers: Workers, text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    quick = {"budget_ms": 50}
    with caplog.at_level(logging.DEBUG):
        closed = await judge(side(first=quick, second={**quick, "on_error": "open"}), Subject(text), workers)
        opened = await judge(side(first={**quick, "on_error": "open"}), Subject("fine"), workers)
        both = {**quick, "on_error": "open"}
        open_ = await judge(side(first=both, second=both), Subject(text), workers)
    HANG.set()
    assert [(c.action, c.detail) for c in closed.checks] == [("error", reason)] * 2
    assert (closed.allowed, closed.refusal) == (False, InputPolicy().unchecked)
    assert opened.allowed
    assert [(c.action, c.detail) for c in open_.checks] == [("error", reason)] * 2
    assert open_.allowed
    assert f"first failed closed: {reason}" in caplog.text
    assert SECRET not in caplog.text
    HANG.clear()


async def test_after_a_gate_that_refuses_nothing_is_read(workers: Workers) -> None:
    class Gated(Words):
        first: Gate = Gate()

    gated = Gated.model_validate(QUIET)
    verdict = await judge(gated, Subject("hit"), workers)
    assert verdict.refusal == gated.too_long
    assert [(c.name, c.action, c.detail) for c in verdict.checks] == [
        ("first", "block", "why"),
        ("second", "skipped", "after first"),
    ]
    assert len((await judge(gated, Subject("fine"), workers)).checks) == 2
