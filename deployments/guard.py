"""NeMo input rails on the question, beside retrieval and on the same vector."""

from deployments.tracing import TracingConfig, make_tracer
from guardrails.input import InputRails
from guardrails.mask import mask
from rag.types import Message, RequestSettings, Vector, Verdict


class Guard:
    """Holds the rails."""

    def __init__(self, tracing: TracingConfig) -> None:
        self.tracer = make_tracer(tracing, mask)
        self.rails = InputRails()
        self.rails.load()

    async def check(
        self, messages: list[Message], vector: Vector, settings: RequestSettings, carrier: dict[str, str]
    ) -> Verdict:
        """Judge the conversation by the policy that came with it."""
        with self.tracer.observe(carrier, "guard", "guardrail", messages[-1].content) as observation:
            verdict = await self.rails.check(messages, vector, settings)
            observation.end(verdict)
            return verdict

    async def check_health(self) -> None:
        """Alive as long as the event loop runs."""

    def __del__(self) -> None:
        self.tracer.close()
