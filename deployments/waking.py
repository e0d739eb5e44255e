"""A model without a replica is woken by the first request, which waits for it, but not for ever."""

import asyncio
import contextvars
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from ray.serve.handle import DeploymentHandle

from deployments.engine_load import ScalingConfig
from deployments.handles import has_replica, translate
from rag.errors import ModelAsleep, StageUnavailable

RETRIES = 4
"""A caller is asked to come back this many times within another `wake_s`."""


@dataclass(slots=True)
class Sleeper:
    """One model that may have no replica. All who wait for it wait for the same call, which outlives them."""

    id: str
    handle: DeploymentHandle
    config: ScalingConfig
    call: "asyncio.Task[None] | None" = None

    async def awake(self) -> None:
        """Return when a replica is there, busy or not: a call to a busy one would wait behind the requests.

        Raises ModelAsleep after `wake_s` seconds, and the stage's own errors.
        """
        if has_replica(self.handle):
            return
        if self.call is None or self.call.done():
            # In no request's context: Serve cancels what was called in the context of a request whose client leaves.
            self.call = asyncio.create_task(self._knock(), context=contextvars.Context())
        call = self.call
        await asyncio.wait({call}, timeout=self.config.wake_s)
        if call.cancelled():
            raise StageUnavailable("llm", "no replica could answer")
        if call.done():
            call.result()
        elif not has_replica(self.handle):
            raise ModelAsleep(
                "llm", f"the model {self.id!r} is still starting", math.ceil(self.config.wake_s / RETRIES)
            )

    async def _knock(self) -> None:
        """Call the deployment: Serve starts a replica for a call that waits."""
        try:
            await self.handle.check_health.remote()
        except Exception as error:
            raise translate("llm", error) from error


@dataclass(frozen=True, slots=True)
class Sleepers:
    """The models that may have no replica, by id; all others are always awake."""

    models: Mapping[str, Sleeper] = field(default_factory=dict)

    async def awake(self, model: str) -> None:
        """Return when `model` has a replica. Raises ModelAsleep when it has none in time."""
        if sleeper := self.models.get(model):
            await sleeper.awake()
