"""The passage rails as the Ingress runs them: in its own process, and counted."""

from collections.abc import Sequence

from deployments.guard_metrics import CheckMetrics
from guardrails.passage_rails import PassageRails
from rag.types import Hit, RequestSettings, Verdict


class Screener:
    """Role `Screener`."""

    def __init__(self) -> None:
        self.rails = PassageRails()
        self.metrics = CheckMetrics("passages")

    async def screen(self, hits: Sequence[Hit], question: str, settings: RequestSettings) -> tuple[Verdict, ...]:
        """One verdict per hit."""
        verdicts = await self.rails.screen(hits, question, settings)
        self.metrics.count(verdicts)
        return verdicts
