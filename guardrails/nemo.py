"""NeMo Guardrails, held at arm's length: one side's rails, built once per replica, whose one action runs our checks.

Set NEMO_GUARDRAILS_NO_USAGE_STATS=1 in the process: otherwise NeMo reports its use to its maker. `load` opts out too.
NeMo imports `actions.py` and `actions/` from the working directory: start replicas in one that has neither.
"""

import asyncio
import logging
import warnings
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rag.types import Check, Verdict

if TYPE_CHECKING:
    from nemoguardrails import LLMRails, RailsConfig

RAILS = Path(__file__).parent / "rails"
ACTIONS = {"input": "check_question", "output": "check_sentence"}
SideName = Literal["input", "output"]
Judge = Callable[[], Awaitable[Verdict]]
"""Makes our checks on what is under judgement."""

log = logging.getLogger(__name__)
judging: ContextVar[Judge] = ContextVar("judging")
"""What NeMo's action is to run in the call under way."""
verdicts: ContextVar[list[Verdict]] = ContextVar("verdicts")
"""What came of it: NeMo's own result carries neither scores nor details."""


class Forgetful(dict[str, Any]):
    """A dict that keeps nothing. NeMo caches the events of every conversation without bound: 20 kB a call."""

    def __setitem__(self, key: str, value: Any) -> None:
        pass


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that NeMo earns by reading deprecated fields of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def build_nemo(read: "Callable[[], RailsConfig]") -> "LLMRails":
    """NeMo's rails of the configuration that `read` returns (about 0.8 s with NeMo's import): silent and forgetful."""

    async def build() -> "LLMRails":
        from nemoguardrails import LLMRails, telemetry

        # One failed action makes it log 230 kB, the user's text included.
        logging.getLogger("nemoguardrails").setLevel(logging.CRITICAL)
        telemetry._DO_NOT_TRACK_FILE = RAILS / "input" / "config.yml"  # NeMo stays silent where this file exists
        with quiet():
            nemo = LLMRails(read())
        nemo.events_history_cache = Forgetful()
        return nemo

    # NeMo's constructor asks for an event loop, and makes and leaks one where none runs: give it one of its own.
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, build()).result()


class Rails:
    """The rails of one side. Safe to share between tasks: what a call finds stays in its own context."""

    def __init__(self, side: SideName) -> None:
        self.side = side
        self.nemo: LLMRails | None = None

    def load(self) -> None:
        """Build the rails, once."""

        def read() -> "RailsConfig":
            from nemoguardrails import RailsConfig

            return RailsConfig.from_path(str(RAILS / self.side))

        self.nemo = build_nemo(read)
        self.nemo.register_action(self.act, ACTIONS[self.side])

    async def act(self) -> Any:
        """NeMo's action: judge, note the verdict, tell NeMo to go on or to stop."""
        from nemoguardrails.actions.rail_outcome import RailOutcome

        verdict = await judging.get()()
        verdicts.get().append(verdict)
        return RailOutcome.allow() if verdict.allowed else RailOutcome.block(reason="refused")

    async def run(self, messages: list[dict[str, Any]], judge: Judge, unchecked: str) -> Verdict:
        """Run the rails on `messages` (a user message is needed even on the output side); what `judge` said.

        Fails closed: rails that end otherwise than their judge, or without it, add a check `nemo` and refuse with the
        text `unchecked`.
        """
        from nemoguardrails.rails.llm.options import RailStatus, RailType

        if self.nemo is None:
            raise RuntimeError("load() the rails first")
        made: list[Verdict] = []
        judge_token, made_token = judging.set(judge), verdicts.set(made)
        try:
            result = await self.nemo.check_async(messages, rail_types=[RailType(self.side)])
        finally:
            judging.reset(judge_token)
            verdicts.reset(made_token)
        passed = result.status is RailStatus.PASSED
        if len(made) == 1 and (not made[0].allowed or passed):
            return made[0]
        log.error("the %s rails ended as %s without a verdict", self.side, result.status.value)
        checks = [check for verdict in made for check in verdict.checks]
        return Verdict(False, (*checks, Check("nemo", "error", detail=result.status.value)), unchecked)
