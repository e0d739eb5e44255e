"""Flagged exchanges, on their way to the review queue: which they are, the row each becomes, and what it may cost.

Secrets and personal data are masked before anything is written, and every row is bounded whatever was asked.
"""

import asyncio
import json
import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar

from app.review_queue import ReviewQueue, Row
from rag.answer import End
from rag.types import Check, Hit, Message

log = logging.getLogger("raglan.app")
T = TypeVar("T")

FLAGGED = frozenset({"flag", "block", "error"})
"""What sends an exchange to review. A mask alone does not: it has done its work, and most answers with one are fine."""
FOUND = FLAGGED | {"mask", "drop"}
SIDES = ("input", "output")
"""The sides of which a finding sends an exchange to review; what was dropped of the passages is told beside it."""
PATIENCE_S = 0.25
"""Longest time that an answer's last event waits for its row."""
MAX_PENDING = 64
"""Rows that may be on their way at a time."""

TEXT, EARLIER, NAME, URL = 16_000, 2_000, 300, 600
"""Bytes of JSON that the question and the answer, an earlier message, a name, and an address may have."""
MAX_EARLIER, MAX_PASSAGES, MAX_CHECKS = 8, 16, 48


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer: who asked, under which ids, and by what it was answered.

    `cut_off`: the client hung up or a stage failed, and `end` is what had left until then.
    """

    trace_id: str
    request_id: str
    user: str | None
    tenant: str
    groups: tuple[str, ...]
    model: str
    release: str
    policy: str
    messages: tuple[Message, ...]
    end: End
    cut_off: bool = False


def flagged(end: End) -> bool:
    """Whether a guardrail found something to be looked at, in the question or in the answer."""
    verdicts = [verdict for side in SIDES for verdict in end.verdicts.get(side, ())]
    return any(not v.allowed or any(check.action in FLAGGED for check in v.checks) for v in verdicts)


def findings(end: End) -> Iterator[tuple[str, Check]]:
    """Every check that found something or broke, with its side."""
    for side, verdicts in end.verdicts.items():
        yield from ((side, c) for verdict in verdicts for c in verdict.checks if c.action in FOUND)


@dataclass(slots=True)
class Cutter:
    """Masks texts, then bounds them; `cut` remembers which fields lost something."""

    mask: Callable[[str], str]
    cut: list[str] = field(default_factory=list)

    def text(self, name: str, text: str, limit: int) -> str:
        """The masked text, as much of it as `limit` bytes of JSON hold."""
        whole = kept = self.mask(text)
        while (size := len(json.dumps(kept))) > limit:
            kept = kept[: len(kept) * limit // size]
        self.note(name, len(kept) < len(whole))
        return kept

    def few(self, name: str, items: Sequence[T], limit: int) -> Sequence[T]:
        """The first `limit` items."""
        self.note(name, len(items) > limit)
        return items[:limit]

    def note(self, name: str, lost: bool) -> None:
        if lost and name not in self.cut:
            self.cut.append(name)


def row(exchange: Exchange, mask: Callable[[str], str]) -> Row:
    """The `flagged` row of an exchange. Its `cut` names the fields that were too long to keep whole."""
    cutter, end = Cutter(mask), exchange.end
    *before, question = exchange.messages
    recent = before[::-1]  # the last messages before the question matter most
    earlier = [
        {"role": m.role, "content": cutter.text("earlier", m.content, EARLIER)}
        for m in cutter.few("earlier", recent, MAX_EARLIER)
    ]
    return {
        "kind": "flagged",
        "id": str(uuid.uuid4()),
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "trace_id": exchange.trace_id,
        "request_id": exchange.request_id,
        "user": exchange.user,
        "tenant": exchange.tenant,
        "groups": sorted(exchange.groups),
        "model": exchange.model,
        "release": exchange.release,
        "policy": exchange.policy,
        "earlier": earlier[::-1],
        "question": cutter.text("question", question.content, TEXT),
        "answer": cutter.text("answer", end.text, TEXT),
        "finish_reason": "cancelled" if exchange.cut_off else end.finish_reason,
        "passages": [passage(hit, cutter) for hit in cutter.few("passages", end.hits, MAX_PASSAGES)],
        "checks": [found(side, c, cutter) for side, c in cutter.few("checks", list(findings(end)), MAX_CHECKS)],
        "cut": cutter.cut,
    }


def passage(hit: Hit, cutter: Cutter) -> dict[str, str]:
    found = hit.passage
    return {
        "id": cutter.text("passages", found.id, NAME),
        "document_id": cutter.text("passages", found.document_id, NAME),
        "title": cutter.text("passages", found.title, NAME),
        "url": cutter.text("passages", found.url, URL),
    }


def found(side: str, check: Check, cutter: Cutter) -> dict[str, Any]:
    score = None if check.score is None else float(check.score)
    detail = cutter.text("checks", check.detail, NAME)
    return {"side": side, "name": check.name, "action": check.action, "score": score, "detail": detail}


class Flags:
    """Puts flagged exchanges into the queue, beside the answers' way: none fails for it, none waits long for it."""

    def __init__(self, queue: ReviewQueue, mask: Callable[[str], str]) -> None:
        self.queue = queue
        self.mask = mask
        self.pending: set[asyncio.Task[None]] = set()
        self.lost = 0

    async def note(self, exchange: Exchange) -> None:
        """Begin to write the exchange's row where it is flagged, and wait for it a moment."""
        if task := self.begin(exchange):
            await asyncio.wait({task}, timeout=PATIENCE_S)

    def begin(self, exchange: Exchange) -> asyncio.Task[None] | None:
        """`note` without the wait."""
        if not flagged(exchange.end):
            return None
        if len(self.pending) >= MAX_PENDING:
            self.lose(exchange, "too many rows on their way")
            return None
        task = asyncio.create_task(self.write(exchange))
        self.pending.add(task)
        task.add_done_callback(self.pending.discard)
        return task

    async def write(self, exchange: Exchange) -> None:
        try:
            await self.queue.append(await asyncio.to_thread(row, exchange, self.mask))
        except Exception as error:  # whatever is wrong with the queue, the answer stands
            self.lose(exchange, type(error).__name__)

    def lose(self, exchange: Exchange, why: str) -> None:
        self.lost += 1
        log.error("request %s: its review row is lost (%s); %d so far", exchange.request_id, why, self.lost)
