"""What /readyz says of a stage that is busy, gone or broken."""

import asyncio
from contextlib import nullcontext
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from ray.serve.exceptions import BackPressureError

from app.services import Dependency
from deployments import ingress
from deployments.ingress import Ingress
from deployments.retriever import Retriever
from rag.errors import StageUnavailable
from rag.store import FakeStore

FULL = BackPressureError(num_queued_requests=1, max_queued_requests=1)


def stage(error: Exception | None, replicas: dict[str, str]) -> Any:
    """A handle whose sign of life raises `error`, or never comes."""

    async def remote() -> None:
        if error:
            raise error
        await asyncio.Event().wait()

    router = SimpleNamespace(_asyncio_router=SimpleNamespace(_request_router=SimpleNamespace(curr_replicas=replicas)))
    return SimpleNamespace(check_health=SimpleNamespace(remote=remote), is_initialized=True, _router=router)


async def test_the_retriever_is_as_ready_as_its_store() -> None:
    store = FakeStore()
    replica: Any = SimpleNamespace(store=SimpleNamespace(reading=lambda: nullcontext(store)))
    replica.hidden = partial(Retriever.hidden, replica)

    async def gone(*_: Any) -> None:
        raise StageUnavailable("retrieve", "the Qdrant server does not answer as it should")

    async def line() -> Dependency:
        handle = SimpleNamespace(ready=SimpleNamespace(remote=partial(Retriever.ready, replica)), is_initialized=False)
        asker: Any = SimpleNamespace(
            sleepers=SimpleNamespace(models={}), handles={"Retriever": handle}, policies=SimpleNamespace(state="v1")
        )
        return (await Ingress.dependencies(asker))[0]

    assert await line() == Dependency("Retriever", True)
    store.hidden = gone  # type: ignore[method-assign,assignment]
    assert await line() == Dependency("Retriever", False, "StageUnavailable")


@pytest.mark.parametrize(
    ("error", "replicas", "line"),
    [
        (None, {"a": "busy"}, Dependency("Guard", True, "busy")),
        (FULL, {"a": "busy"}, Dependency("Guard", True, "busy")),
        (None, {}, Dependency("Guard", False, "TimeoutError")),
        (FULL, {}, Dependency("Guard", False, "BackPressureError")),
        (RuntimeError(), {"a": "broken"}, Dependency("Guard", False, "RuntimeError")),
        (TimeoutError(), {"a": "broken"}, Dependency("Guard", False, "TimeoutError")),
    ],
)
async def test_a_busy_stage_is_ready_and_a_lost_or_broken_one_is_not(
    error: Exception | None, replicas: dict[str, str], line: Dependency, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ingress, "READY_TIMEOUT_S", 0.01)
    asker: Any = SimpleNamespace(
        sleepers=SimpleNamespace(models={}),
        handles={"Guard": stage(error, replicas)},
        policies=SimpleNamespace(state="v1"),
    )
    assert (await Ingress.dependencies(asker))[0] == line
