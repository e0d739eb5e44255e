"""NeMo output rails on each sentence of the stream, before it leaves."""

from collections.abc import Mapping

from ray.serve.handle import DeploymentHandle

from deployments.guard_metrics import CheckMetrics
from deployments.handles import engine_handles
from deployments.logs import log_to_serve
from deployments.tracing import TracingConfig, make_tracer
from guardrails.mask import mask
from guardrails.output import OutputRails
from guardrails.own_engine import register
from guardrails.user_config import RailsConfig
from rag.types import Hit, RequestSettings, Verdict


class Validator:
    """Holds the rails."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        own: RailsConfig,
        engines: Mapping[str, DeploymentHandle],
        tracing: TracingConfig,
        prompts: tuple[str, ...],
    ) -> None:
        """`engines` are those that the user's `own` rails may ask, by model id; `prompts` must not be recited."""
        log_to_serve()
        self.tracer = make_tracer(tracing, mask)
        self.metrics = CheckMetrics("output")
        self.rails = OutputRails(own=own, prompts=prompts)
        register(engine_handles(engines))
        self.rails.load()

    async def validate(
        self, sentence: str, hits: list[Hit], question: str, settings: RequestSettings, carrier: dict[str, str]
    ) -> Verdict:
        """Judge one sentence against the passages it may cite, by the policy that came with it."""
        with self.tracer.observe(carrier, "validate", "guardrail", sentence) as observation:
            verdict = await self.rails.validate(sentence, hits, question, settings)
            observation.end(verdict)
        self.metrics.count([verdict])
        return verdict

    async def conforms(self, answer: str, settings: RequestSettings, carrier: dict[str, str]) -> Verdict:
        """Judge a whole answer by the schema that was asked for."""
        with self.tracer.observe(carrier, "validate", "guardrail", answer) as observation:
            verdict = await self.rails.conforms(answer, settings)
            observation.end(verdict)
        self.metrics.count([verdict])
        return verdict

    async def check_health(self) -> None:
        """Alive as long as the event loop runs and checks have threads to run in. Raises RuntimeError."""
        self.rails.workers.check_health()

    def __del__(self) -> None:
        self.tracer.close()
