"""Rails of a user's own NeMo folder, run after our checks: its flows, prompts and models, or any of NeMo's library."""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from guardrails.check import Entry, Reaction, action_field, budget_field
from guardrails.nemo import SideName
from guardrails.user_config import RailsConfig, build_side
from rag.types import Action, Check, Message, Verdict

if TYPE_CHECKING:
    from nemoguardrails import LLMRails

BROKEN = "I'm sorry, an internal error has occurred."
"""What NeMo says for a rail that raised; it tells in no other way."""

log = logging.getLogger(__name__)


class RailsEntry(Entry):
    """The rails of your own NeMo folder (`rails.config`); without one this check is not made."""

    action: Reaction = action_field("block")
    budget_ms: int = budget_field(10_000)


class SideTexts(Protocol):
    """What a side of the policy says about the user's rails."""

    @property
    def rails(self) -> RailsEntry:
        """When and how they run."""
        ...

    @property
    def refusal(self) -> str:
        """What the user reads when they refuse."""
        ...

    @property
    def unchecked(self) -> str:
        """What the user reads when they broke and fail closed."""
        ...


class UserRails:
    """One side of the user's rails."""

    def __init__(self, config: RailsConfig, side: SideName) -> None:
        self.config = config
        self.side = side
        self.nemo: LLMRails | None = None

    def load(self) -> None:
        """Build the rails, if there are any. Raises ValueError naming the field at fault."""
        self.nemo = build_side(self.config, self.side)

    async def after(
        self, verdict: Verdict, messages: Sequence[Message], side: SideTexts, passages: Sequence[str] = ()
    ) -> Verdict:
        """`verdict` of our own checks with what these rails say of the last of `messages`, which ours let pass.

        A text they change goes on changed. NeMo's rails find `passages` in `$relevant_chunks`.
        """
        if self.nemo is None or side.rails.action == "off":
            return verdict
        if not verdict.allowed:
            skipped = Check("rails", "skipped", detail="refused before")
            return Verdict(False, (*verdict.checks, skipped), verdict.refusal)
        shown: list[dict[str, object]] = [
            {"role": m.role, "content": m.content} for m in messages if m.role != "system"
        ]
        if passages:
            shown.insert(0, {"role": "context", "content": {"relevant_chunks": "\n\n".join(passages)}})
        check, text = await self.timed(self.nemo, shown, side.rails)
        checks = (*verdict.checks, check)
        if check.action == "block":
            return Verdict(False, checks, side.refusal)
        if check.action == "error" and side.rails.on_error == "closed":
            return Verdict(False, checks, side.unchecked)
        if check.action != "mask":
            return Verdict(True, checks, masked=verdict.masked)
        judged = [m.content for m in messages if m.role == "user"] if self.side == "input" else [text]
        return Verdict(True, checks, masked=(*judged[:-1], text))

    async def timed(self, nemo: "LLMRails", shown: list[dict[str, object]], entry: RailsEntry) -> tuple[Check, str]:
        """The check within its budget, and the text the rails made of what they judged."""
        begin = time.perf_counter()
        try:
            async with asyncio.timeout(entry.budget_ms / 1e3):
                action, detail, text = await self.ask(nemo, shown, entry)
        except TimeoutError:
            action, detail, text = "error", "timeout", ""
        except Exception as error:  # a model that cannot be asked, and whatever a user's own action raises
            action, detail, text = "error", type(error).__name__, ""
        if action == "error":
            log.error("the user's %s rails failed %s: %s", self.side, entry.on_error, detail)
        ms = round((time.perf_counter() - begin) * 1e3, 3)
        return Check("rails", action, None, ms, detail), text

    async def ask(self, nemo: "LLMRails", shown: list[dict[str, object]], entry: RailsEntry) -> tuple[Action, str, str]:
        """Action, detail and text: NeMo tells a rail that broke from one that refused only by what it says."""
        from nemoguardrails.rails.llm.options import RailStatus, RailType

        result = await nemo.check_async(shown, rail_types=[RailType(self.side)])
        if result.status is RailStatus.PASSED:
            return "pass", "", ""
        if result.status is RailStatus.MODIFIED:
            return ("flag" if entry.action == "flag" else "mask"), "changed", result.content
        if result.content == BROKEN:
            return "error", result.rail or "", ""
        return ("flag" if entry.action == "flag" else "block"), result.rail or "", ""
