"""The error table: every domain error has its row, survives a pickle, and tells nothing about the inside."""

import asyncio
import inspect
import pickle
from typing import Any

import pytest

from app import errors as table
from app.errors import TABLE, failure
from rag import errors as domain
from rag.errors import (
    DeadlineExceeded,
    InvalidInput,
    ModelAsleep,
    Overloaded,
    RaglanError,
    StageFailed,
    StageUnavailable,
)
from rag.fakes import FakeLLM
from tests.app.refusals import CHAT, EMBED, SEARCH, VALID
from tests.app.world import browser, fake_services, question

CLASSES = [
    c
    for module in (domain, table)
    for _, c in inspect.getmembers(module, inspect.isclass)
    if issubclass(c, RaglanError) and c.__module__ == module.__name__
]


def example(kind: type[RaglanError]) -> RaglanError:
    """An instance with no argument left at its default."""
    if issubclass(kind, Overloaded | ModelAsleep):
        return kind("llm", "full", 9)
    return kind("llm", "broken") if issubclass(kind, StageFailed) else kind("wrong", "field")


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_survives_a_pickle(kind: type[RaglanError]) -> None:
    error = example(kind)
    back = pickle.loads(pickle.dumps(error))
    assert type(back) is kind
    assert (back.args, vars(back), str(back)) == (error.args, vars(error), str(error))


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_has_its_own_row(kind: type[RaglanError]) -> None:
    assert kind in TABLE
    seen = failure(example(kind))
    assert (seen.status, seen.type, seen.code) == TABLE[kind]
    assert seen.status >= 500 or issubclass(kind, Overloaded) or seen.type != "server_error"


def test_a_subclass_falls_back_to_its_nearest_ancestor() -> None:
    class Grammar(InvalidInput):
        """Not in the table."""

    seen = failure(Grammar("bad grammar", "response_format"))
    assert (seen.status, seen.code, seen.param) == (400, "invalid_value", "response_format")


@pytest.mark.parametrize("cause", [example(kind) for kind in CLASSES], ids=lambda e: type(e).__name__)
def test_a_remote_error_is_answered_with_its_cause(cause: RaglanError) -> None:
    """As Ray wraps it: a subclass of the cause's class whose text shows the remote side."""

    class Remote(type(cause)):  # type: ignore[misc]
        def __init__(self) -> None:
            self.cause = cause

        def __str__(self) -> str:
            return "ray::Replica (pid=7, ip=10.0.0.7) File /opt/secret.py line 3"

    assert failure(Remote()) == failure(cause)


def test_back_pressure_says_when_to_come_again() -> None:
    assert failure(Overloaded("llm", "full", 9)).headers == {"Retry-After": "9"}
    assert failure(StageUnavailable("llm")).headers == {"Retry-After": "1"}
    assert failure(ModelAsleep("llm", "asleep", 9)).headers == {"Retry-After": "9"}
    assert failure(DeadlineExceeded("llm")).headers == {}


async def test_an_unforeseen_error_is_logged_under_its_request_and_told_to_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    llm = FakeLLM(errors=[ValueError("/opt/secret 10.0.0.7")])  # type: ignore[list-item]
    async with browser(fake_services(roles={"llm": llm})) as client:
        response = await client.post("/v1/chat/completions", json=question(), headers={"X-Request-Id": "r-1"})
    assert response.status_code == 500
    message = "Something went wrong on our side."
    body = {"message": message, "type": "server_error", "param": None, "code": "internal_error"}
    assert response.json() == {"error": body}
    assert "r-1" in caplog.text
    assert "/opt/secret" in caplog.text


@pytest.mark.parametrize(("method", "path", "allow"), [("PUT", "/v1/models", "GET"), ("GET", "/v1/search", "POST")])
async def test_a_wrong_method_is_told_the_right_ones(method: str, path: str, allow: str) -> None:
    async with browser(fake_services()) as client:
        response = await client.request(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allow)
    assert response.json()["error"]["code"] == "method_not_allowed"


async def test_an_unknown_path() -> None:
    async with browser(fake_services()) as client:
        response = await client.get("/v1/../../etc/passwd")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")


class GaveUp:
    """A stage whose call was cancelled, though nobody here did: so ends what Ray itself cancels."""

    def __getattr__(self, name: str) -> Any:
        async def call(*args: Any) -> None:
            raise asyncio.CancelledError

        return call


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, VALID[CHAT]),
        (CHAT, {**VALID[CHAT], "stream": True}),
        (SEARCH, VALID[SEARCH]),
        (EMBED, VALID[EMBED]),
        ("/v1/documents", None),
    ],
)
async def test_a_stage_that_gave_up_is_a_failure_with_a_status(path: str, body: Any) -> None:
    services = fake_services(roles={"embedder": GaveUp()}, library=GaveUp())
    async with browser(services) as client:
        response = await client.request("POST" if body else "GET", path, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (500, "stage_failed")
