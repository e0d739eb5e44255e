"""Threads in which checks run, each check within its time: one that hangs is given up, and its thread replaced.

A check that holds Python's lock (one long regular expression) cannot be interrupted: ours are linear by design.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

T = TypeVar("T")

THREADS = 4
"""Runs that may be under way at once; more would only share Python's lock."""
MAX_STUCK = 4
"""Threads that are replaced when they are given up on; those after them are missed."""
LOOK_S = 0.25
"""How often a run that still waits for a thread is looked at."""


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """A call that must not raise, the seconds it may take, and its result when there is none, given the reason."""

    call: Callable[[], T]
    budget_s: float
    instead: Callable[[str], T]


@dataclass(slots=True)
class Run(Generic[T]):
    """Tasks one after the other in one thread, as far as they got; none after one whose result is the `last`."""

    tasks: Sequence[Task[T]]
    last: Callable[[T], bool]
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    results: list[T] = field(default_factory=list)
    at: tuple[int, float] | None = None
    finished: bool = False
    given_up: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def execute(self) -> bool:
        """Make the calls; False when the run was given up on meanwhile. Only a worker thread may call it."""
        for n, task in enumerate(self.tasks):
            self.at = (n, time.perf_counter())
            result = task.call()
            with self.lock:
                if self.given_up:
                    return False
                self.results.append(result)
                self.finished = n + 1 == len(self.tasks) or self.last(result)
            if self.finished:
                break
        with suppress(RuntimeError):  # the loop was closed: nobody waits
            self.loop.call_soon_threadsafe(self.done.set)
        return True

    def left(self) -> float:
        """Seconds the task under way still has; those to the next look while there is none."""
        if self.at is None or self.at[0] < len(self.results):
            return LOOK_S
        n, began = self.at
        return self.tasks[n].budget_s - (time.perf_counter() - began)

    def give_up(self, whatever: bool = False) -> bool:
        """Want no more than is there, when the task under way is late or `whatever`; False when it is not so."""
        with self.lock:
            if self.finished or not (whatever or self.left() <= 0):
                return False
            self.given_up = True
            return True


class Workers:
    """A pool of threads that survives hanging tasks. Its threads start with the first run and end with the process."""

    def __init__(self, threads: int = THREADS, max_stuck: int = MAX_STUCK) -> None:
        self.threads = threads
        self.max_stuck = max_stuck
        self.live = 0
        self.stuck = 0
        self.started = False
        self.lock = threading.Lock()
        self.queue: SimpleQueue[Run[Any]] = SimpleQueue()
        self.watching: set[asyncio.Task[Any]] = set()

    @property
    def healthy(self) -> bool:
        """Whether every thread that hung could be replaced."""
        return not self.started or self.live == self.threads

    def check_health(self) -> None:
        """Raises RuntimeError when threads are missing: the process is to be replaced."""
        if not self.healthy:
            raise RuntimeError(f"{self.stuck} threads hang in guardrail checks")

    async def run(self, tasks: Sequence[Task[T]], last: Callable[[T], bool]) -> list[T]:
        """The results of `tasks`, in order, up to the first that is the `last`; a late task's is its `instead`."""
        out: list[T] = []
        while len(out) < len(tasks) and not (out and last(out[-1])):
            rest = tasks[len(out) :]
            watch = asyncio.ensure_future(self.watch(Run(rest, last)))
            self.watching.add(watch)  # also when this caller is cancelled, so that a hanging thread is noticed
            watch.add_done_callback(self.watching.discard)
            results, reason = await asyncio.shield(watch)
            out += results
            if reason:
                out.append(rest[len(results)].instead(reason))
        return out

    async def watch(self, run: Run[T]) -> tuple[list[T], str]:
        """See a run through; the results as far as it got, and why it got no further."""
        self.start()
        self.queue.put(run)
        while not run.done.is_set():
            if run.at is None and not self.live and run.give_up(whatever=True):
                return run.results, "no worker"
            with suppress(TimeoutError):
                async with asyncio.timeout(max(run.left(), 0)):
                    await run.done.wait()
            if not run.done.is_set() and run.at is not None and run.give_up():
                self.replace()
                return run.results, "timeout"
        return run.results, ""

    def start(self) -> None:
        """Start the threads, once."""
        with self.lock:
            if not self.started:
                self.started = True
                for _ in range(self.threads):
                    self.spawn()

    def spawn(self) -> None:
        self.live += 1
        threading.Thread(target=self.work, daemon=True, name="checks").start()

    def replace(self) -> None:
        """Count a thread as stuck, and start another one unless too many are."""
        with self.lock:
            self.live -= 1
            self.stuck += 1
            if self.stuck <= self.max_stuck:
                self.spawn()

    def work(self) -> None:
        """A thread: run after run. One that was given up on comes back only where a thread is missed."""
        while True:
            run = self.queue.get()
            if run.given_up or run.execute():
                continue
            with self.lock:
                self.stuck -= 1
                if self.live == self.threads:
                    return
                self.live += 1
