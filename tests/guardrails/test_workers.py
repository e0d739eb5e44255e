import asyncio
import threading
import time
from collections.abc import Callable

import pytest

from guardrails.workers import Task, Workers


def task(call: Callable[[], str], budget_s: float = 5.0) -> Task[str]:
    return Task(call, budget_s, lambda reason: f"[{reason}]")


def never(_: str) -> bool:
    return False


async def run(workers: Workers, *tasks: Task[str]) -> list[str]:
    return await workers.run(tasks, never)


async def test_results_come_in_order_up_to_the_last() -> None:
    workers = Workers()
    tasks = [task(lambda n=n: str(n)) for n in range(5)]  # type: ignore[misc]
    assert await workers.run(tasks, never) == ["0", "1", "2", "3", "4"]
    assert await workers.run(tasks, lambda result: result == "2") == ["0", "1", "2"]
    assert await workers.run([], never) == []


async def test_a_task_that_hangs_is_given_up_and_the_others_are_made() -> None:
    workers = Workers(threads=1)
    hang = threading.Event()

    def hanging() -> str:
        hang.wait()
        return "late"

    assert await run(workers, task(lambda: "a"), task(hanging, 0.02), task(lambda: "b")) == ["a", "[timeout]", "b"]
    assert (len(workers.stuck), workers.healthy) == (1, True)
    hang.set()


async def test_a_check_that_waits_for_the_others_is_not_late() -> None:
    def busy() -> str:
        end = time.thread_time() + 0.08
        while time.thread_time() < end:
            pass
        return "busy"

    workers = Workers()
    made = await asyncio.gather(*(run(workers, task(busy, 0.2)) for _ in range(4)))
    assert (made, len(workers.stuck)) == ([["busy"]] * 4, 0)


async def test_the_event_loop_goes_on_beside_a_busy_loop() -> None:
    workers = Workers(threads=1)
    stop = False

    def busy() -> str:
        while not stop:
            pass
        return "late"

    ticks = 0
    judged = asyncio.ensure_future(run(workers, task(busy, 0.1)))
    while not judged.done():
        await asyncio.sleep(0.01)
        ticks += 1
    stop = True
    assert judged.result() == ["[timeout]"]
    assert ticks >= 3


async def test_stuck_threads_are_bounded_and_then_nothing_waits() -> None:
    workers = Workers(threads=1, max_stuck=2)
    hang = threading.Event()

    def hanging() -> str:
        hang.wait()
        return "late"

    made = [await run(workers, task(hanging, 0.01)) for _ in range(3)]
    assert made == [["[timeout]"]] * 3
    assert (len(workers.stuck), workers.live) == (3, 0)
    assert await run(workers, task(lambda: "x")) == ["[no worker]"]
    workers.check_health()
    workers.hung_s = 0
    with pytest.raises(RuntimeError, match="3 threads hang"):
        workers.check_health()
    hang.set()
    for _ in range(200):
        if workers.live:
            break
        await asyncio.sleep(0.01)
    assert workers.healthy
    assert await run(workers, task(lambda: "x")) == ["x"]


async def test_a_hang_is_noticed_though_its_caller_is_gone() -> None:
    workers = Workers(threads=1)
    hang = threading.Event()
    caller = asyncio.ensure_future(run(workers, task(lambda: str(hang.wait()), 0.03)))
    await asyncio.sleep(0.02)
    caller.cancel()
    with pytest.raises(asyncio.CancelledError):
        await caller
    assert await run(workers, task(lambda: "next")) == ["next"]
    assert len(workers.stuck) == 1
    hang.set()


async def test_many_runs_share_the_threads() -> None:
    workers = Workers(threads=2)
    made = await asyncio.gather(*(run(workers, task(lambda n=n: str(n))) for n in range(200)))  # type: ignore[misc]
    assert made == [[str(n)] for n in range(200)]
    assert workers.live == 2
