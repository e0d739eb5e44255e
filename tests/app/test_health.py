"""/healthz and /readyz."""

import asyncio

import pytest

from app import health
from app.services import Dependency
from tests.app.world import browser, fake_services


async def test_alive() -> None:
    async with browser(fake_services()) as client:
        response = await client.get("/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_ready_as_text_has_a_line_for_each_dependency() -> None:
    services = fake_services()
    async with browser(services) as client:
        response = await client.get("/readyz")
    lines = ["llm: ready", "retriever: ready (3 documents)", f"configuration: {services.digest}"]
    assert (response.status_code, response.text.splitlines()) == (200, lines)
    assert response.headers["content-type"].startswith("text/plain")


async def test_not_ready_as_json() -> None:
    async def dependencies() -> list[Dependency]:
        return [Dependency("llm", False, "starting"), Dependency("guard", True)]

    async with browser(fake_services(dependencies=dependencies)) as client:
        response = await client.get("/readyz", headers={"Accept": "application/json"})
    body = response.json()
    assert (response.status_code, body["ready"]) == (503, False)
    assert body["dependencies"][0] == {"name": "llm", "ready": False, "detail": "starting"}


async def test_a_silent_dependency_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent() -> list[Dependency]:
        await asyncio.Event().wait()
        return []

    monkeypatch.setattr(health, "PATIENCE_S", 0.01)
    async with browser(fake_services(dependencies=silent)) as client:
        response = await client.get("/readyz")
    assert (response.status_code, response.text.splitlines()[0]) == (
        503,
        "dependencies: not ready (no answer in 0.01 s)",
    )


async def test_a_model_was_created_when_its_replica_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_700_000_000.5)
    services = fake_services()
    monkeypatch.undo()
    async with browser(services) as client:
        listed = (await client.get("/v1/models")).json()["data"]
    assert {model["created"] for model in listed} == {1_700_000_000}
