"""NeMo Guardrails, held at arm's length: one side's rails, built once per replica, whose one action runs our checks.

Set NEMO_GUARDRAILS_NO_USAGE_STATS=1 in the process: otherwise NeMo reports its use to its maker. `load` opts out too.
NeMo imports `actions.py` and `actions/` from the working directory: start replicas in one that has neither.
"""

import asyncio
import logging
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rag.types import Check

if TYPE_CHECKING:
    from nemoguardrails import LLMRails

RAILS = Path(__file__).parent / "rails"
ACTIONS = {"input": "check_question", "output": "check_sentence"}
REFUSING = ("block", "error")

Judge = Callable[[str, Mapping[str, Any]], Iterable[Check]]
"""Takes the text under judgement and NeMo's context; returns every check made on it."""

log = logging.getLogger(__name__)
found: ContextVar[list[list[Check]]] = ContextVar("found")
"""The checks of each action in the call under way: NeMo's own result carries neither scores nor details."""


def attempt(name: str, check: Callable[[], Check]) -> Check:
    """Make one check and time it. One that raises refuses (fails closed); the log tells its error, never the text."""
    begin = time.perf_counter()
    try:
        made = check()
    except Exception as error:
        log.error("guardrail check %s failed: %s", name, type(error).__name__)
        made = Check(name, "error", detail=type(error).__name__)
    return replace(made, ms=round((time.perf_counter() - begin) * 1e3, 3))


def refuses(checks: Iterable[Check]) -> bool:
    """Whether one of the checks refuses."""
    return any(check.action in REFUSING for check in checks)


class Forgetful(dict[str, Any]):
    """A dict that keeps nothing. NeMo caches the events of every conversation without bound: 20 kB a call."""

    def __setitem__(self, key: str, value: Any) -> None:
        pass


class Rails:
    """The rails of one side. Safe to share between tasks: what a call finds stays in its own context."""

    def __init__(self, side: Literal["input", "output"], judge: Judge) -> None:
        self.side = side
        self.judge = judge
        self.nemo: LLMRails | None = None

    def load(self) -> None:
        """Build the rails (about 0.8 s with NeMo's import)."""
        # NeMo's constructor asks for an event loop, and makes and leaks one where none runs: give it one of its own.
        with ThreadPoolExecutor(1) as thread:
            self.nemo = thread.submit(asyncio.run, self.build()).result()

    async def build(self) -> "LLMRails":
        """NeMo's rails of this side: silent, forgetful, with our action."""
        from nemoguardrails import LLMRails, RailsConfig, telemetry

        folder = RAILS / self.side
        # One failed action makes it log 230 kB, the user's text included.
        logging.getLogger("nemoguardrails").setLevel(logging.CRITICAL)
        telemetry._DO_NOT_TRACK_FILE = folder / "config.yml"  # NeMo stays silent where this file exists
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # NeMo reads deprecated fields of its own
            nemo = LLMRails(RailsConfig.from_path(str(folder)))
        nemo.events_history_cache = Forgetful()
        nemo.register_action(self.act, ACTIONS[self.side])
        return nemo

    async def act(self, text: str, context: Mapping[str, Any]) -> Any:
        """NeMo's action: judge, note what was found, tell NeMo to go on or to stop."""
        from nemoguardrails.actions.rail_outcome import RailOutcome

        checks = list(self.judge(text, context))
        found.get().append(checks)
        refusing = [check.name for check in checks if check.action in REFUSING]
        return RailOutcome.block(reason=", ".join(refusing)) if refusing else RailOutcome.allow()

    async def run(self, messages: list[dict[str, Any]]) -> tuple[Check, ...]:
        """Run the rails on `messages` (a user message is needed even on the output side) and return every check made.

        Fails closed: rails that stop without a refusing check, or pass without having judged, add one named `nemo`.
        """
        from nemoguardrails.rails.llm.options import RailStatus, RailType

        if self.nemo is None:
            raise RuntimeError("load() the rails first")
        actions: list[list[Check]] = []
        token = found.set(actions)
        try:
            result = await self.nemo.check_async(messages, rail_types=[RailType(self.side)])
        finally:
            found.reset(token)
        checks = [check for made in actions for check in made]
        passed = result.status is RailStatus.PASSED and bool(actions)
        if not passed and not refuses(checks):
            log.error("the %s rails ended as %s without a verdict", self.side, result.status.value)
            checks.append(Check("nemo", "error", detail=result.status.value))
        return tuple(checks)
