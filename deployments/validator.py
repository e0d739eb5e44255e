"""NeMo output rails on each sentence of the stream, before it leaves."""

from deployments.tracing import TracingConfig, make_tracer
from guardrails.mask import mask
from guardrails.output import OutputRails
from rag.types import Hit, RequestSettings, Verdict


class Validator:
    """Holds the rails."""

    def __init__(self, tracing: TracingConfig) -> None:
        self.tracer = make_tracer(tracing, mask)
        self.rails = OutputRails()
        self.rails.load()

    async def validate(
        self, sentence: str, hits: list[Hit], question: str, settings: RequestSettings, carrier: dict[str, str]
    ) -> Verdict:
        """Judge one sentence against the passages it may cite."""
        with self.tracer.observe(carrier, "validate", "guardrail", sentence) as observation:
            verdict = await self.rails.validate(sentence, hits, question, settings)
            observation.end(verdict)
            return verdict

    async def check_health(self) -> None:
        """Alive as long as the event loop runs."""

    def __del__(self) -> None:
        self.tracer.close()
