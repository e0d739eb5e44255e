"""Chat requests that would be late are refused at once, and every place is given back."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from app.application import create_app
from app.services import Services
from rag.admission import Admission, AdmissionConfig
from rag.errors import RaglanError, StageFailed, StageUnavailable
from rag.fakes import FakeGuard, FakeLLM
from rag.types import Piece, Prompt
from tests.app.world import MODEL, Connection, FakeTracer, browser, fake_services, question

PATH = "/v1/chat/completions"


class Held(FakeLLM):
    """Says one sentence, then waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        yield Piece("First. Second")
        await self.go.wait()
        yield Piece(finish_reason="stop")


def one_at_a_time() -> Admission:
    return Admission(AdmissionConfig(max_in_flight=1))


def under_way(services: Services) -> int:
    return services.admission.lines[MODEL].under_way


async def test_one_too_many_is_refused_with_a_time_to_come_back_and_costs_no_trace() -> None:
    llm, tracer = Held(), FakeTracer()
    services = fake_services(roles={"llm": llm}, admission=one_at_a_time(), tracer=tracer)
    async with browser(services) as client:
        first = asyncio.ensure_future(client.post(PATH, json=question(stream=True)))
        while not under_way(services):
            await asyncio.sleep(0)
        refused = await client.post(PATH, json=question())
        other = await client.post(PATH, json={**question(), "model": "nothing"})
        llm.go.set()
        assert (await first).status_code == 200
        assert (await client.post(PATH, json=question())).status_code == 200
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "overloaded")
    assert int(refused.headers["retry-after"]) >= 1
    assert other.status_code == 404
    assert len(tracer.traces) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("error", [None, StageFailed("llm"), StageUnavailable("llm"), RuntimeError("x")])
@pytest.mark.parametrize("die_after", [0, 2])
async def test_a_place_is_given_back_however_the_answer_ends(
    error: RaglanError | None, die_after: int, stream: bool
) -> None:
    llm = FakeLLM("One. Two. Three. Four. Five. Six.", [error, error] if error else [], die_after)
    services = fake_services(roles={"llm": llm}, admission=one_at_a_time())
    async with browser(services) as client:
        for body in (question(stream=stream), question(stream=stream), {"model": MODEL}):
            await client.post(PATH, json=body)
            assert under_way(services) == 0
        assert (await client.post(PATH, json=question())).status_code == 200


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("end", ["client", "server"])
async def test_a_place_is_given_back_when_a_side_hangs_up(stream: bool, end: str) -> None:
    services = fake_services(roles={"llm": Held()}, admission=one_at_a_time())
    connection = Connection(create_app(services), json.dumps(question(stream=stream)).encode())
    running = asyncio.ensure_future(connection.run())
    while not under_way(services):
        await asyncio.sleep(0)
    if end == "client":
        connection.gone.set()
        await asyncio.wait_for(running, 1)
    else:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
    assert under_way(services) == 0


@pytest.mark.parametrize(
    ("fields", "roles", "learned"),
    [
        ({}, {}, 1),
        ({"stream": True}, {}, 1),
        ({"response_format": {"type": "json_object"}}, {"llm": FakeLLM("{}")}, 0),
        ({}, {"guard": FakeGuard(forbidden="replicas")}, 0),
        ({}, {"llm": FakeLLM(errors=[StageFailed("llm")])}, 0),
    ],
)
async def test_only_the_first_text_of_prose_tells_how_long_one_waits(
    fields: dict[str, Any], roles: dict[str, Any], learned: int
) -> None:
    services = fake_services(roles=roles)
    async with browser(services) as client:
        await client.post(PATH, json=question(**fields))
    assert len(services.admission.lines[MODEL].seen) == learned
