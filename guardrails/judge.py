"""One side's checks on one subject: in a worker thread, each within its budget, by the action the policy gives it."""

import logging
import time
from collections.abc import Container
from dataclasses import dataclass
from functools import partial

from guardrails.check import CheckPolicy, Finding, Subject
from guardrails.policy import Side
from guardrails.workers import Task, Workers
from rag.types import Action, Check, Verdict

REFUSING: tuple[Action, ...] = ("block", "drop")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Made:
    """A check as it was made; `refuses` by its action, or because it broke and fails closed."""

    check: Check
    policy: CheckPolicy
    refuses: bool
    masked: tuple[str, ...] = ()

    @property
    def last(self) -> bool:
        """Whether no later check may read the text."""
        return self.refuses and self.policy.gate


async def judge(side: Side, subject: Subject, workers: Workers, only: Container[str] = ()) -> Verdict:
    """Make the side's checks on `subject`, or `only` those with these names, where any are given.

    Every check that is not off is told, also one that broke or was skipped.
    """
    planned = [(name, check) for name, check in side.checks() if (not only or name in only) and check.applies(subject)]
    tasks = [
        Task(
            partial(make, name, policy, subject),
            policy.budget_ms / 1e3,
            partial(broken, name, policy, ms=float(policy.budget_ms)),
        )
        for name, policy in planned
    ]
    made = await workers.run(tasks, lambda one: one.last)
    skipped = [Check(name, "skipped", detail=f"after {made[-1].check.name}") for name, _ in planned[len(made) :]]
    masked: tuple[str, ...] = next((one.masked for one in reversed(made) if one.masked), ())
    refusing = next((one for one in made if one.refuses), None)
    checks = (*(one.check for one in made), *skipped)
    return Verdict(False, checks, words(side, refusing)) if refusing else Verdict(True, checks, masked=masked)


def make(name: str, policy: CheckPolicy, subject: Subject) -> Made:
    """Make one check and time it. The log tells the error of one that breaks, never the text."""
    begin = time.perf_counter()
    try:
        found = policy.check(subject)
    except BaseException as error:  # a panic of a Rust extension is no Exception, and must not end the thread
        return broken(name, policy, type(error).__name__, since(begin))
    if found is None:
        return Made(Check(name, "skipped", ms=since(begin), detail="nothing to judge"), policy, False)
    action = reaction(policy, found)
    check = Check(name, action, found.score, since(begin), found.detail)
    return Made(check, policy, action in REFUSING, found.masked if action == "mask" else ())


def reaction(policy: CheckPolicy, found: Finding) -> Action:
    """What the policy does about a finding."""
    if not found.hit:
        return "pass"
    action: Action = "flag" if found.mild else policy.action  # type: ignore[assignment]
    return action


def broken(name: str, policy: CheckPolicy, reason: str, ms: float) -> Made:
    """A check that raised, took too long or found no thread to run in."""
    log.error("guardrail check %s failed %s: %s", name, policy.on_error, reason)
    return Made(Check(name, "error", None, ms, reason), policy, policy.on_error == "closed")


def since(begin: float) -> float:
    return round((time.perf_counter() - begin) * 1e3, 3)


def words(side: Side, refusing: Made) -> str:
    """What the user reads for a check that refuses; nothing where the side has no such text."""
    field = "unchecked" if refusing.check.action == "error" else refusing.policy.refusal
    text: str = getattr(side, field, "")
    return text
