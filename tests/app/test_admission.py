"""Chat requests that would be late are refused at once, and every place is given back."""

import asyncio
import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from app import sse as sse_module
from app.application import create_app
from app.auth import digest
from app.services import HttpConfig, KeyConfig, Services
from rag.admission import Admission, AdmissionConfig
from rag.errors import RaglanError, StageFailed, StageUnavailable
from rag.fakes import FakeGuard, FakeLLM
from rag.types import Piece, Prompt
from tests.app.world import MODEL, Connection, FakeTracer, browser, fake_services, pass_time, question, sse

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


class HeldFirst(FakeLLM):
    """Lets the first answer go on only when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        if not self.prompts:
            self.prompts.append(prompt)
            await self.go.wait()
        async for piece in super().generate(prompt):
            yield piece


def one_at_a_time() -> Admission:
    return Admission(AdmissionConfig(max_in_flight=1))


def under_way(services: Services) -> int:
    return services.admission.line(MODEL).under_way


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
    assert float(refused.headers["server-timing"].removeprefix("total;dur=")) < 1_000
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
    assert len(services.admission.line(MODEL).even.seen) == learned


KEY, BATCH_KEY = "interactive-key", "batch-key"
KEYS = HttpConfig(
    api_keys=(
        KeyConfig(name="ann", sha256=digest(KEY)),
        KeyConfig(name="night job", sha256=digest(BATCH_KEY), priority="batch"),
    )
)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("key", "asked", "served"),
    [
        (KEY, None, "default"),
        (KEY, "auto", "default"),
        (KEY, "default", "default"),
        (KEY, "priority", "default"),
        (KEY, "flex", "flex"),
        (BATCH_KEY, None, "flex"),
        (BATCH_KEY, "default", "flex"),
        (BATCH_KEY, "priority", "flex"),
    ],
)
async def test_the_tier_that_served_is_told_and_a_batch_key_is_never_more(
    key: str, asked: str | None, served: str, stream: bool
) -> None:
    llm, tracer = FakeLLM(), FakeTracer()
    services = fake_services(KEYS, {"llm": llm}, tracer=tracer)
    async with browser(services) as client:
        body = question(service_tier=asked, stream=stream)
        answer = await client.post(PATH, json=body, headers={"Authorization": f"Bearer {key}"})
    told = sse(answer.text)[:-1] if stream else [answer.json()]
    assert {part["service_tier"] for part in told} == {served}
    priority = {"default": "interactive", "flex": "batch"}[served]
    assert llm.prompts[0].priority == tracer.opened[0]["priority"] == priority


async def test_a_batch_request_waits_while_an_interactive_one_comes_in() -> None:
    llm = HeldFirst()
    services = fake_services(roles={"llm": llm}, admission=Admission(AdmissionConfig(max_in_flight=2)))
    waiting = services.admission.line(MODEL).waiting
    async with browser(services) as client:
        first = asyncio.ensure_future(client.post(PATH, json=question(service_tier="flex")))
        while not llm.prompts:
            await asyncio.sleep(0)
        second = asyncio.ensure_future(client.post(PATH, json=question(service_tier="flex")))
        while not waiting:
            await asyncio.sleep(0)
        assert (await client.post(PATH, json=question())).status_code == 200
        assert not second.done()
        llm.go.set()
        assert [(await one).status_code for one in (first, second)] == [200, 200]
    assert [prompt.priority for prompt in llm.prompts] == ["batch", "interactive", "batch", "batch"]
    assert (under_way(services), len(waiting)) == (0, 0)


@pytest.mark.parametrize("limits", [{"batch_waiting": 0}, {"batch_wait_s": 0.01}])
async def test_a_batch_request_without_room_is_refused_with_a_time_to_come_back(limits: dict[str, Any]) -> None:
    llm = HeldFirst()
    services = fake_services(roles={"llm": llm}, admission=Admission(AdmissionConfig(max_in_flight=1, **limits)))
    async with browser(services) as client:
        first = asyncio.ensure_future(client.post(PATH, json=question()))
        while not llm.prompts:
            await asyncio.sleep(0)
        refused = await client.post(PATH, json=question(service_tier="flex"))
        llm.go.set()
        assert (await first).status_code == 200
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "overloaded")
    assert 60 <= int(refused.headers["retry-after"]) <= 61  # no batch request has ended for a minute
    assert (under_way(services), len(services.admission.line(MODEL).waiting)) == (0, 0)


async def test_a_batch_request_whose_client_hangs_up_waits_no_longer() -> None:
    services = fake_services(admission=one_at_a_time())
    place = services.admission.enter(MODEL)
    connection = Connection(create_app(services), json.dumps(question(service_tier="flex")).encode())
    running = asyncio.ensure_future(connection.run())
    while not services.admission.line(MODEL).waiting:
        await asyncio.sleep(0)
    connection.gone.set()
    await asyncio.wait_for(running, 1)
    place.leave()
    assert (under_way(services), len(services.admission.line(MODEL).waiting)) == (0, 0)


class Stalled(Connection):
    """A client that stays, but reads nothing after the beginning of a stream."""

    async def send(self, message: Any) -> None:
        await super().send(message)
        if len(self.sent) > 2:
            await asyncio.Event().wait()


async def test_a_place_is_given_back_after_the_deadline_of_a_client_that_reads_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sse_module, "LAST_SEND_S", 0.01)
    services = fake_services(roles={"llm": Held()}, admission=one_at_a_time())
    connection = Stalled(create_app(services), json.dumps(question(stream=True)).encode())
    running = asyncio.ensure_future(connection.run())
    await connection.until(3)
    pass_time(services.config.request_timeout_s, monkeypatch)
    await asyncio.wait_for(running, 10)
    assert b"deadline_exceeded" in connection.sent[-1]["body"]
    assert under_way(services) == 0
