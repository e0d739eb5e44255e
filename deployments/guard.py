"""NeMo input rails on the question, beside retrieval and on the same vector."""

import asyncio
from collections.abc import Mapping

from ray.serve.handle import DeploymentHandle

from deployments.guard_metrics import CheckMetrics
from deployments.handles import BlockingEmbed, RemoteEmbedder, engine_handles
from deployments.logs import log_to_serve
from deployments.tracing import TracingConfig, make_tracer
from guardrails.input import InputRails
from guardrails.mask import mask
from guardrails.own_engine import register
from guardrails.user_config import RailsConfig
from rag.types import Message, RequestSettings, Vector, Verdict


class Guard:
    """Holds the rails."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self,
        embedder: DeploymentHandle,
        engines: Mapping[str, DeploymentHandle],
        own: RailsConfig,
        tracing: TracingConfig,
        bundled: bool,
    ) -> None:
        """`bundled`: the embedder's model is; `engines` are those that the user's `own` rails may ask, by model id."""
        log_to_serve()
        self.tracer = make_tracer(tracing, mask)
        self.metrics = CheckMetrics("input")
        embed = BlockingEmbed(RemoteEmbedder("embed", embedder), asyncio.get_running_loop())
        self.rails = InputRails(embed, own, bundled)
        register(engine_handles(engines))
        self.rails.load()

    async def check(
        self, messages: list[Message], vector: Vector, settings: RequestSettings, carrier: dict[str, str]
    ) -> Verdict:
        """Judge the conversation by the policy that came with it."""
        with self.tracer.observe(carrier, "guard", "guardrail", messages[-1].content) as observation:
            verdict = await self.rails.check(messages, vector, settings)
            observation.end(verdict)
        self.metrics.count([verdict])
        return verdict

    async def check_health(self) -> None:
        """Alive as long as the event loop runs and checks have threads to run in. Raises RuntimeError."""
        self.rails.workers.check_health()

    def __del__(self) -> None:
        self.tracer.close()
