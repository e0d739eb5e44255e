"""A chat request for a model without a replica."""

import asyncio

import pytest

from rag.errors import ModelAsleep
from tests.app.world import MODEL, browser, fake_services, question

PATH = "/v1/chat/completions"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_model_that_does_not_wake_in_time_is_named_and_tells_when_to_come_again(stream: bool) -> None:
    async def asleep(model: str) -> None:
        raise ModelAsleep("llm", f"the model {model!r} is still starting", 23)

    async with browser(fake_services(awake=asleep)) as client:
        response = await client.post(PATH, json=question(stream=stream))
    error = response.json()["error"]
    assert (response.status_code, error["code"], response.headers["retry-after"]) == (503, "model_asleep", "23")
    assert error["message"] == f"llm: the model '{MODEL}' is still starting"


async def test_who_waits_for_a_model_takes_no_place_yet() -> None:
    """Else the wait would count as the engine's slowness, and those who come after would be refused for it."""
    asked, woken = asyncio.Event(), asyncio.Event()

    async def asleep(model: str) -> None:
        asked.set()
        await woken.wait()

    services = fake_services(awake=asleep)
    async with browser(services) as client:
        request = asyncio.create_task(client.post(PATH, json=question()))
        await asyncio.wait_for(asked.wait(), 5)
        assert services.admission.line(MODEL).under_way == 0
        woken.set()
        assert (await request).status_code == 200
