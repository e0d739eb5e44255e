"""How a request waits for a model without a replica."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve import context
from ray.serve.exceptions import DeploymentUnavailableError

from deployments.engine_load import ScalingConfig
from deployments.waking import Sleeper, Sleepers
from rag.errors import ModelAsleep, StageUnavailable


class Deployment:
    """A handle whose calls wait until `started` is set; it notes the request that Serve would file each under."""

    is_initialized = True

    def __init__(self, error: BaseException | None = None) -> None:
        self.started = asyncio.Event()
        self.error = error
        self.requests: list[str] = []
        self.check_health = SimpleNamespace(remote=self.call)
        self.replicas: dict[str, Any] = {}
        router = SimpleNamespace(curr_replicas=self.replicas)
        self._router = SimpleNamespace(_asyncio_router=SimpleNamespace(_request_router=router))

    @property
    def calls(self) -> int:
        return len(self.requests)

    async def call(self) -> None:
        self.requests.append(context._get_serve_request_context()._internal_request_id)
        await self.started.wait()
        if self.error:
            raise self.error


def sleepers(handle: Any, wake_s: float) -> Sleepers:
    return Sleepers({"big": Sleeper("big", handle, ScalingConfig(to_zero=True, wake_s=wake_s))})


async def test_a_model_that_does_not_sleep_is_not_asked() -> None:
    handle = Deployment()
    await sleepers(handle, 5).awake("quote")
    assert handle.calls == 0


async def test_all_who_wait_share_one_call() -> None:
    handle = Deployment()
    models = sleepers(handle, 5)
    waiting = [asyncio.create_task(models.awake("big")) for _ in range(5)]
    await asyncio.sleep(0)
    handle.started.set()
    await asyncio.gather(*waiting)
    assert handle.calls == 1


async def test_a_model_that_fell_asleep_again_is_woken_again() -> None:
    handle = Deployment()
    handle.started.set()
    models = sleepers(handle, 5)
    await models.awake("big")
    await models.awake("big")
    assert handle.calls == 2


async def test_a_busy_model_is_awake() -> None:
    handle = Deployment()
    handle.replicas["a"] = "busy"
    await sleepers(handle, 0.01).awake("big")
    assert handle.calls == 0


async def test_a_model_that_was_busy_at_once_is_awake() -> None:
    handle = Deployment()
    waiting = asyncio.create_task(sleepers(handle, 0.01).awake("big"))
    await asyncio.sleep(0)
    handle.replicas["a"] = "busy"
    await waiting
    assert handle.calls == 1


async def test_who_waited_too_long_is_told_and_the_model_goes_on_waking() -> None:
    handle = Deployment()
    models = sleepers(handle, 0.01)
    for _ in range(2):
        with pytest.raises(ModelAsleep, match="'big' is still starting"):
            await models.awake("big")
    handle.started.set()
    await models.awake("big")
    assert handle.calls == 1


async def test_a_caller_who_leaves_does_not_take_the_call_along() -> None:
    handle = Deployment()
    models = sleepers(handle, 5)
    leaver, stayer = (asyncio.create_task(models.awake("big")) for _ in range(2))
    await asyncio.sleep(0)
    leaver.cancel()
    handle.started.set()
    await stayer
    assert leaver.cancelled()


async def test_the_call_belongs_to_no_request_so_that_serve_does_not_cancel_it_with_the_first() -> None:
    handle = Deployment()
    handle.started.set()
    context._serve_request_context.set(context._RequestContext(_internal_request_id="first"))
    await sleepers(handle, 5).awake("big")
    assert handle.requests == [""]


async def test_a_cancelled_call_is_an_unavailable_stage_for_all_who_wait_and_the_next_calls_again() -> None:
    handle = Deployment(asyncio.CancelledError())
    models = sleepers(handle, 5)
    waiting = [asyncio.create_task(models.awake("big")) for _ in range(2)]
    await asyncio.sleep(0)
    handle.started.set()
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in found] == [StageUnavailable] * 2
    handle.error = None
    await models.awake("big")
    assert handle.calls == 2


async def test_a_model_that_cannot_start_is_unavailable() -> None:
    handle = Deployment(DeploymentUnavailableError(SimpleNamespace(name="LLM:big", app_name="raglan")))
    handle.started.set()
    with pytest.raises(StageUnavailable):
        await sleepers(handle, 5).awake("big")
