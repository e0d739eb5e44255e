"""The output rail: judges each sentence of an answer against the passages it may cite, before it leaves."""

from collections.abc import Sequence

from guardrails.check import Embed, Subject
from guardrails.judge import judge
from guardrails.nemo import Rails
from guardrails.policy import parse_policy
from guardrails.workers import Workers
from rag.types import Hit, RequestSettings, Verdict


class OutputRails:
    """Role `Validator` of rag/stages.py. `embed` is for the checks that compare meanings."""

    def __init__(self, embed: Embed | None = None) -> None:
        self.embed = embed
        self.workers = Workers()
        self.rails = Rails("output")

    def load(self) -> None:
        """Build the NeMo rails; once, before the first sentence."""
        self.rails.load()

    async def validate(self, sentence: str, hits: Sequence[Hit], question: str, settings: RequestSettings) -> Verdict:
        """Judge `sentence`; `[n]` in it cites `hits[n - 1]`."""
        side = parse_policy(settings.policy).output
        passages = tuple(" ".join((h.passage.title, *h.passage.headings)) + "\n" + h.passage.text for h in hits)
        subject = Subject(sentence, question=question, passages=passages, schema=settings.schema, embed=self.embed)
        shown = [{"role": "user", "content": "?"}, {"role": "assistant", "content": sentence}]
        return await self.rails.run(shown, lambda: judge(side, subject, self.workers), side.unchecked)
