"""NeMo Guardrails, held at arm's length: one side's flow, run by NeMo's Colang runtime, whose one action is our checks.

The runtime is NeMo's own without its library: with the 95 flows that `LLMRails` adds, each call costs 6 to 9 ms more.
NeMo imports `actions.py` and `actions/` from the working directory: start replicas in one that has neither.
"""

import logging
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rag.types import Check, Verdict

if TYPE_CHECKING:
    from nemoguardrails.colang.v1_0.runtime.runtime import RuntimeV1_0

RAILS = Path(__file__).parent / "rails"
ACTIONS = {"input": "check_question", "output": "check_sentence"}
SideName = Literal["input", "output"]
Judge = Callable[[], Awaitable[Verdict]]
"""Makes our checks on what is under judgement."""

log = logging.getLogger(__name__)
judging: ContextVar[Judge] = ContextVar("judging")
"""What NeMo's action is to run in the call under way."""
verdicts: ContextVar[list[Verdict]] = ContextVar("verdicts")
"""What came of it: NeMo's own events carry neither scores nor details."""


@contextmanager
def quiet() -> Iterator[None]:
    """Without the warnings that NeMo earns by reading deprecated fields of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def hush() -> None:
    """NeMo's log would hold users' texts: one failed action makes it write 230 kB."""
    logging.getLogger("nemoguardrails").setLevel(logging.CRITICAL)


class Rails:
    """The flow of one side. Safe to share between tasks: what a call finds stays in its own context."""

    def __init__(self, side: SideName) -> None:
        self.side = side
        self.flow = ""
        self.runtime: RuntimeV1_0 | None = None

    def load(self) -> None:
        """Build the runtime, once (about 0.8 s with NeMo's import)."""
        from nemoguardrails import RailsConfig
        from nemoguardrails.colang.v1_0.runtime.runtime import RuntimeV1_0

        hush()
        with quiet():
            config = RailsConfig.from_path(str(RAILS / self.side))
            self.runtime = RuntimeV1_0(config)
        [self.flow] = getattr(config.rails, self.side).flows
        self.runtime.register_action(self.act, ACTIONS[self.side])

    async def act(self) -> Any:
        """NeMo's action: judge, note the verdict, tell the flow to go on or to stop."""
        from nemoguardrails.actions.rail_outcome import RailOutcome

        try:
            verdict = await judging.get()()
        except Exception as error:  # NeMo would log it with all that it knows
            log.error("the %s checks broke: %s", self.side, type(error).__name__)
            return RailOutcome.block(reason="broken")
        verdicts.get().append(verdict)
        return RailOutcome.allow() if verdict.allowed else RailOutcome.block(reason="refused")

    async def run(self, judge: Judge, unchecked: str) -> Verdict:
        """Run the flow; what `judge` said.

        Fails closed: a flow that ends otherwise than its judge, or without it, adds a check `nemo` and refuses with
        the text `unchecked`.
        """
        if self.runtime is None:
            raise RuntimeError("load() the rails first")
        made: list[Verdict] = []
        judge_token, made_token = judging.set(judge), verdicts.set(made)
        try:
            events = await self.runtime.generate_events([{"type": "start_flow", "flow_id": self.flow}])
        finally:
            judging.reset(judge_token)
            verdicts.reset(made_token)
        stopped = any(event["type"] == "BotIntent" and event["intent"] == "stop" for event in events)
        if len(made) == 1 and (not made[0].allowed or not stopped):
            return made[0]
        how = "stopped" if stopped else "unjudged"
        log.error("the %s flow ended %s without a verdict", self.side, how)
        checks = [check for verdict in made for check in verdict.checks]
        return Verdict(False, (*checks, Check("nemo", "error", detail=how)), unchecked)
