"""Before the engine is asked: is the question allowed, and what was found for it? It knows neither Ray nor HTTP."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rag.followup import standalone
from rag.stages import Stages
from rag.types import Embedded, Hit, Message, Prompt, RequestSettings, Verdict


@dataclass(frozen=True, slots=True)
class Considered:
    """What is known before the engine is asked; `query` is what was searched for.

    `messages` are the conversation as the engine may read it: masked where the guard masked. `screened` are the
    verdicts on the passages.
    """

    hits: Sequence[Hit]
    verdict: Verdict
    query: str
    messages: tuple[Message, ...]
    screened: tuple[Verdict, ...] = ()


@dataclass(slots=True)
class Clock:
    """Milliseconds of each stage, and since the start; and which stages had to be done without."""

    started: float = field(default_factory=time.perf_counter)
    ms: dict[str, float] = field(default_factory=dict)
    degraded: list[str] = field(default_factory=list)
    first_token: datetime | None = None

    def since(self, begin: float) -> float:
        return round((time.perf_counter() - begin) * 1e3, 3)

    def mark(self, stage: str, begin: float | None = None) -> None:
        """Note the milliseconds from `begin` (default: the request's start) to now."""
        self.ms[stage] = self.since(self.started if begin is None else begin)


async def consider(draft: Prompt, settings: RequestSettings, stages: Stages, clock: Clock) -> Considered:
    """Embed the question once, then guard and retrieve side by side; a blocked question drops what was found.

    A follow-up is searched for as a question that stands alone. A language model words it only once the guard allows.
    """
    question = draft.messages[-1].content
    if not (settings.guard or settings.retrieve):
        return Considered((), Verdict(True), question, draft.messages)
    query = standalone(draft.messages) if settings.retrieve and settings.followup == "rule" else question
    begin = time.perf_counter()
    asked = await stages.embedder.embed_questions([question] if query == question else [question, query])
    clock.mark("embed", begin)

    async def judge() -> Verdict:
        begin = time.perf_counter()
        verdict = await stages.guard.check(draft.messages, asked[0].vector, settings)
        clock.mark("guard", begin)
        return verdict

    async def find() -> tuple[Sequence[Hit], str]:
        if settings.followup != "llm" or len(draft.messages) == 1:
            return await search(asked[-1], settings, stages, clock), query
        verdict = await judged
        if not verdict.allowed:
            return (), question
        begin = time.perf_counter()
        reworded = await stages.rewriter(readable(draft.messages, verdict))
        [alone] = await stages.embedder.embed_questions([reworded])
        clock.mark("rewrite", begin)
        return await search(alone, settings, stages, clock), reworded

    found = asyncio.ensure_future(find()) if settings.retrieve else None  # it takes longer, and so starts first
    judged = asyncio.ensure_future(judge() if settings.guard else allowed())
    try:
        verdict = await judged
        hits, query = await found if found and verdict.allowed else ((), query)
        return Considered(hits, verdict, query, readable(draft.messages, verdict))
    finally:
        judged.cancel()
        if found:
            found.cancel()


def readable(messages: tuple[Message, ...], verdict: Verdict) -> tuple[Message, ...]:
    """`messages` with the user's as the guard masked them."""
    if not verdict.masked:
        return messages
    texts = iter(verdict.masked)
    return tuple(Message("user", next(texts)) if m.role == "user" else m for m in messages)


async def allowed() -> Verdict:
    """What an unguarded question is."""
    return Verdict(True)


async def search(asked: Embedded, settings: RequestSettings, stages: Stages, clock: Clock) -> Sequence[Hit]:
    """The `settings.top_k` best passages."""
    begin = time.perf_counter()
    hits: Sequence[Hit] = await stages.retriever.retrieve(asked.text, asked.vector, settings)
    clock.mark("retrieve", begin)
    if settings.rerank and hits:
        hits = await rerank(asked, hits, settings, stages, clock)
    return hits[: settings.top_k]


async def rerank(
    asked: Embedded, hits: Sequence[Hit], settings: RequestSettings, stages: Stages, clock: Clock
) -> Sequence[Hit]:
    """The reranker's order, or the first stage's when that takes longer than `settings.rerank_budget_ms`."""
    begin = time.perf_counter()
    try:
        async with asyncio.timeout(settings.rerank_budget_ms / 1e3 or None):
            return await stages.reranker.rerank(asked.text, hits, settings, asked.tokens)
    except TimeoutError:
        clock.degraded.append("rerank")
        return hits
    finally:
        clock.mark("rerank", begin)
