"""What a dead replica means to the stage's caller: every call is made once more, and errors are ours."""

from types import SimpleNamespace
from typing import Any

import pytest
from ray.exceptions import ActorDiedError, ActorUnavailableError
from ray.serve.exceptions import BackPressureError

from deployments.handles import RemoteRetriever
from rag.errors import DeadlineExceeded, InvalidInput, Overloaded, StageFailed, StageUnavailable

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
