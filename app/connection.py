"""The client's end of a connection: work stops as soon as nobody waits for it."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.types import Receive

T = TypeVar("T")


class ClientGone(Exception):
    """The client hung up before its answer was there."""


def cancelled() -> bool:
    """Whether this task itself is to stop: a stage's call that was cancelled raises the same error here."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def hung_up(receive: Receive) -> None:
    """Return when the client closes the connection. The request's body must have been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


async def while_connected(receive: Receive, work: Coroutine[Any, Any, T]) -> T:
    """Await `work`; when the client hangs up first, cancel it, let it clean up, and raise ClientGone."""
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(hung_up(receive))
    try:
        await asyncio.wait((task, watcher), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientGone
    finally:
        watcher.cancel()
        task.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)
