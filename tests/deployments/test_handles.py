"""What a stage's caller sees of its replicas: a dead one's call is made once more, and errors are ours."""

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from ray.exceptions import ActorDiedError, ActorUnavailableError, RayTaskError
from ray.serve._private import router as serve_router
from ray.serve._private.request_router import RequestRouter
from ray.serve.exceptions import BackPressureError, RequestCancelledError
from ray.serve.handle import DeploymentHandle

from deployments.handles import RemoteLLM, RemoteRetriever, has_replica, translate
from rag.errors import DeadlineExceeded, InvalidInput, NotFound, Overloaded, StageFailed, StageUnavailable
from rag.types import Message, Piece, Prompt

DEAD = ActorDiedError()
GONE = ActorUnavailableError("gone", None)


def retriever(method: str, *results: Any) -> tuple[RemoteRetriever, list[tuple[Any, ...]]]:
    """A retriever whose replica answers with `results`, one a call, and the calls it gets."""
    calls: list[tuple[Any, ...]] = []
    left = list(results)

    async def remote(*args: Any) -> Any:
        calls.append(args)
        result = left.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    handle: Any = SimpleNamespace(**{method: SimpleNamespace(remote=remote)})
    return RemoteRetriever("retrieve", handle, 5), calls


@pytest.mark.parametrize("lost", [DEAD, GONE])
async def test_a_call_whose_replica_died_is_made_once_more(lost: Exception) -> None:
    remote, calls = retriever("hidden", lost, ["a"])
    assert await remote.hidden(["a"], "t") == ["a"]
    assert calls == [(["a"], "t", ())] * 2


async def test_two_dead_replicas_are_an_unavailable_stage() -> None:
    remote, calls = retriever("hidden", DEAD, DEAD, ["a"])
    with pytest.raises(StageUnavailable, match="retrieve"):
        await remote.hidden(["a"], "t")
    assert len(calls) == 2


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (BackPressureError(num_queued_requests=1, max_queued_requests=1), Overloaded),
        (InvalidInput("no"), InvalidInput),
        (KeyError("x"), StageFailed),
        (TimeoutError(), DeadlineExceeded),
    ],
)
async def test_what_is_no_death_is_not_tried_again(raised: Exception, seen: type[Exception]) -> None:
    remote, calls = retriever("hidden", raised, ["a"])
    with pytest.raises(seen):
        await remote.hidden(["a"], "t")
    assert len(calls) == 1


async def test_a_call_that_ray_cancelled_is_cancelled_here() -> None:
    remote, calls = retriever("hidden", RequestCancelledError("r-1"), ["a"])
    with pytest.raises(asyncio.CancelledError):
        await remote.hidden(["a"], "t")
    assert len(calls) == 1


async def test_a_removal_that_is_made_again_is_one_removal() -> None:
    remote, _ = retriever("delete", DEAD, False)
    assert await remote.delete("d", "t")
    remote, _ = retriever("delete", DEAD, True)
    assert await remote.delete("d", "t")


@pytest.mark.parametrize("there", [True, False])
async def test_a_removal_says_whether_there_was_anything(there: bool) -> None:
    remote, calls = retriever("delete", there)
    assert await remote.delete("d", "t", ("g",)) is there
    assert calls == [("d", "t", ("g",))]


PROMPT = Prompt("quote", (Message("user", "How?"),))
PIECES = [Piece("It"), Piece(" is")]


class Stream:
    """What an engine's handle answers a call with: PIECES, then `error`."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.cancelled = 0

    async def __aiter__(self) -> AsyncGenerator[Piece]:
        for piece in PIECES:
            yield piece
        if self.error:
            raise self.error

    def cancel(self) -> None:
        self.cancelled += 1

    def generate(self) -> AsyncGenerator[Piece]:
        """Stream the answer to PROMPT."""
        handle: Any = SimpleNamespace(generate=SimpleNamespace(remote=lambda prompt: self))
        return RemoteLLM({PROMPT.model: handle}).generate(PROMPT)


async def test_an_answer_comes_piece_by_piece() -> None:
    assert [piece async for piece in Stream().generate()] == PIECES


async def test_who_closes_an_answer_stops_its_engine() -> None:
    stream = Stream()
    answer = stream.generate()
    assert await anext(answer) == PIECES[0]
    assert stream.cancelled == 0
    await answer.aclose()
    assert stream.cancelled == 1


def broken(code: StatusCode) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata())


@pytest.mark.parametrize(
    ("raised", "seen"),
    [
        (DEAD, StageUnavailable),
        (broken(StatusCode.UNAVAILABLE), StageUnavailable),
        (broken(StatusCode.CANCELLED), StageUnavailable),
        (broken(StatusCode.INTERNAL), StageUnavailable),
        (broken(StatusCode.UNKNOWN), StageUnavailable),
        (broken(StatusCode.RESOURCE_EXHAUSTED), StageFailed),
        (BackPressureError(num_queued_requests=1, max_queued_requests=1), Overloaded),
        (RayTaskError("generate", "/opt/secret", KeyError("x")), StageFailed),
        (RequestCancelledError("r-1"), asyncio.CancelledError),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else type(value).__name__,
)
async def test_an_answer_that_breaks_off_says_why_after_its_text(raised: Exception, seen: type[BaseException]) -> None:
    answer = Stream(raised).generate()
    assert [await anext(answer) for _ in PIECES] == PIECES
    with pytest.raises(seen) as caught:
        await anext(answer)
    assert type(caught.value) is seen


async def test_a_model_that_no_engine_serves_is_named() -> None:
    with pytest.raises(NotFound) as caught:
        await anext(RemoteLLM({}).generate(PROMPT))
    assert caught.value.param == "model"


def test_an_error_of_ours_comes_as_it_was_raised() -> None:
    cause = InvalidInput("no", "stop")
    remote = RayTaskError("generate", "/opt/secret", cause)
    assert translate("llm", remote) is translate("llm", remote.as_instanceof_cause()) is cause


async def test_ray_tells_of_replicas_where_we_look(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handle answers any unknown name with another handle, so a name that Ray changed would pass as a replica."""
    for name in ("LongPollClient", "SharedRouterLongPollClient", "RouterMetricsManager", "metrics"):
        monkeypatch.setattr(serve_router, name, MagicMock())
    loop = asyncio.get_running_loop()
    monkeypatch.setattr(serve_router.SingletonThreadRouter, "_get_singleton_asyncio_loop", lambda *_: loop)
    told = MagicMock(spec=RequestRouter, curr_replicas={})
    others = ("controller_handle", "deployment_id", "handle_id", "self_actor_id", "handle_source", "node_id")
    router = serve_router.SingletonThreadRouter(
        **dict.fromkeys(others, MagicMock()),
        availability_zone=None,
        enable_strict_max_ongoing_requests=True,
        prefer_local_node_routing=False,
        request_router=told,
        _request_router_initialized_event=asyncio.Event(),
    )
    assert not has_replica(DeploymentHandle("Guard", "raglan"))
    handle = DeploymentHandle("Guard", "raglan", _router=router)
    assert not has_replica(handle)
    told.curr_replicas = {"a": "runs"}
    assert has_replica(handle)
