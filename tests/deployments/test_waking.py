"""How a request waits for a model without a replica."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve.exceptions import DeploymentUnavailableError

from deployments import waking
from deployments.engine_load import ScalingConfig
from deployments.waking import Sleeper, Sleepers
from rag.errors import ModelAsleep, StageUnavailable


class Deployment:
    """A handle whose calls wait until `started` is set; it counts them."""

    def __init__(self, error: Exception | None = None) -> None:
        self.started = asyncio.Event()
        self.error = error
        self.calls = 0
        self.check_health = SimpleNamespace(remote=self.call)

    async def call(self) -> None:
        self.calls += 1
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
    await models.awake("big")
    assert handle.calls == 1


async def test_a_replica_that_answered_a_while_ago_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waking, "FRESH_S", 0.0)
    handle = Deployment()
    handle.started.set()
    models = sleepers(handle, 5)
    await models.awake("big")
    await models.awake("big")
    assert handle.calls == 2


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


async def test_a_model_that_cannot_start_is_unavailable() -> None:
    handle = Deployment(DeploymentUnavailableError(SimpleNamespace(name="LLM:big", app_name="raglan")))
    handle.started.set()
    with pytest.raises(StageUnavailable):
        await sleepers(handle, 5).awake("big")
