"""The passage rail: keeps from the engine what was retrieved and must not be read. Runs in the process that asks."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from guardrails.check import Embed, Subject
from guardrails.judge import judge
from guardrails.policy import PassagePolicy, parse_policy
from guardrails.workers import Workers
from rag.scan import as_read
from rag.types import Hit, RequestSettings, Verdict


class PassageRails:
    """Role `Screener` of rag/stages.py. `embed` is for the checks that need vectors, by the `bundled` model or not."""

    def __init__(self, embed: Embed | None = None, bundled: bool = True) -> None:
        self.embed = embed
        self.bundled = bundled and embed is not None
        self.workers = Workers()

    async def screen(self, hits: Sequence[Hit], question: str, settings: RequestSettings) -> tuple[Verdict, ...]:
        """One verdict per hit; the detail of each check begins with the passage's id."""
        side = parse_policy(settings.policy).passages
        if not side.enabled:
            return tuple(Verdict(True) for _ in hits)
        return tuple(await asyncio.gather(*(self.judge(side, hit, question) for hit in hits)))

    async def judge(self, side: PassagePolicy, hit: Hit, question: str) -> Verdict:
        passage = hit.passage
        text = as_read(passage.title, passage.headings, passage.text)
        subject = Subject(text, question=question, scores=passage.scores, embed=self.embed, bundled=self.bundled)
        verdict = await judge(side, subject, self.workers)
        named = (replace(c, detail=": ".join(filter(None, (passage.id, c.detail)))) for c in verdict.checks)
        return replace(verdict, checks=tuple(named))
