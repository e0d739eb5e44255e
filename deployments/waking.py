"""A model without a replica is woken by the first request, which waits for it, but not for ever."""

import asyncio
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from ray.serve.handle import DeploymentHandle

from deployments.engine_load import ScalingConfig
from deployments.handles import translate
from rag.errors import ModelAsleep

FRESH_S = 1.0
"""A replica that answered so long ago is not asked again."""
RETRIES = 4
"""A caller is asked to come back this many times within another `wake_s`."""


@dataclass(slots=True)
class Sleeper:
    """One model that may have no replica. All who wait for it wait for the same call, which outlives them."""

    id: str
    handle: DeploymentHandle
    config: ScalingConfig
    answered: float = -math.inf
    call: "asyncio.Task[None] | None" = None

    async def awake(self) -> None:
        """Return when a replica is there. Raises ModelAsleep after `wake_s` seconds, and the stage's own errors."""
        if time.monotonic() - self.answered < FRESH_S:
            return
        if self.call is None or self.call.done():
            self.call = asyncio.create_task(self._knock())
        done, _ = await asyncio.wait({self.call}, timeout=self.config.wake_s)
        if not done:
            raise ModelAsleep(
                "llm", f"the model {self.id!r} is still starting", math.ceil(self.config.wake_s / RETRIES)
            )
        self.call.result()

    async def _knock(self) -> None:
        """Call the deployment: Serve starts a replica for a call that waits."""
        try:
            await self.handle.check_health.remote()
        except Exception as error:
            raise translate("llm", error) from error
        self.answered = time.monotonic()


@dataclass(frozen=True, slots=True)
class Sleepers:
    """The models that may have no replica, by id; all others are always awake."""

    models: Mapping[str, Sleeper] = field(default_factory=dict)

    async def awake(self, model: str) -> None:
        """Return when `model` has a replica. Raises ModelAsleep when it has none in time."""
        if sleeper := self.models.get(model):
            await sleeper.awake()
