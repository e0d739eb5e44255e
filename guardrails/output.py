"""The output rail: judges each sentence of an answer against the passages it may cite, before it leaves."""

from collections.abc import Sequence

from guardrails.check import Subject
from guardrails.judge import judge
from guardrails.nemo import Rails
from guardrails.policy import parse_policy
from guardrails.user_config import RailsConfig
from guardrails.user_rails import UserRails
from guardrails.workers import Workers
from rag.release import SentenceSettings
from rag.types import Hit, Message, RequestSettings, Verdict


class OutputRails:
    """Role `Validator` of rag/stages.py. `own` are the user's rails.

    `prompts` are the texts of the templates that engines are asked with: an answer must not recite them.
    """

    def __init__(self, own: RailsConfig | None = None, prompts: Sequence[str] = ()) -> None:
        self.prompts = tuple(prompts)
        self.own = UserRails(own or RailsConfig(), "output")
        self.workers = Workers()
        self.rails = Rails("output")

    def load(self) -> None:
        """Build the NeMo rails; once, before the first sentence. Raises ValueError for `own` rails that are wrong."""
        self.rails.load()
        self.own.load()

    async def validate(self, sentence: str, hits: Sequence[Hit], question: str, settings: RequestSettings) -> Verdict:
        """Judge `sentence`; `[n]` in it cites `hits[n - 1]`. A stream's come with SentenceSettings."""
        side = parse_policy(settings.policy).output
        passages = tuple(" ".join((h.passage.title, *h.passage.headings)) + "\n" + h.passage.text for h in hits)
        around = settings if isinstance(settings, SentenceSettings) else SentenceSettings("", "")
        subject = Subject(
            sentence,
            question=question,
            passages=passages,
            schema=settings.schema,
            prompts=self.prompts,
            before=around.before,
            urls=tuple(url for h in hits for url in (h.passage.url, *h.passage.also)),
            orders=around.orders,
        )
        verdict = await self.rails.run(lambda: judge(side, subject, self.workers), side.unchecked)
        leaving = "".join(verdict.masked) if verdict.masked else sentence
        return await self.own.after(verdict, [Message("user", question), Message("assistant", leaving)], side, passages)

    async def conforms(self, answer: str, settings: RequestSettings) -> Verdict:
        """Judge a whole answer, whose sentences were judged, by `settings.schema`."""
        side = parse_policy(settings.policy).output
        subject = Subject(answer, schema=settings.schema)
        return await self.rails.run(lambda: judge(side, subject, self.workers, ("json_schema",)), side.unchecked)
