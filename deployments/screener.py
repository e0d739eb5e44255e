"""The passage rails as the Ingress runs them: in its own process, and counted."""

from collections.abc import Sequence

from deployments.guard_metrics import CheckMetrics
from guardrails.check import Embed
from guardrails.passage_rails import PassageRails
from rag.types import Hit, RequestSettings, Verdict


class Screener:
    """Role `Screener`. `embed` makes the vectors of the `bundled` embedding model, or of another one."""

    def __init__(self, embed: Embed, bundled: bool) -> None:
        self.rails = PassageRails(embed, bundled)
        self.metrics = CheckMetrics("passages")

    async def screen(self, hits: Sequence[Hit], question: str, settings: RequestSettings) -> tuple[Verdict, ...]:
        """One verdict per hit."""
        verdicts = await self.rails.screen(hits, question, settings)
        self.metrics.count(verdicts)
        return verdicts
