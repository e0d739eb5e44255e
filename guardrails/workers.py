"""Threads in which checks run, each check within its time: one that hangs is given up, and its thread replaced.

Time is that of the processor: a check that waits for the others is not late. A check that holds Python's lock (one long
regular expression) cannot be interrupted: ours are linear by design.
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
"""Threads that are replaced when they are given up on; those after them are missed until they come back."""
PATIENCE = 10
"""How many times its budget a task may take by the clock: all threads share a lock, and a vector is waited for."""
HUNG_S = 60.0
"""How long after it was given up on a thread counts as hung. One that is only slow has come back by then."""
LOOK_S = 0.25
"""How often a run that still waits for a thread is looked at."""
LEAST_S = 0.01
"""Shortest time between two looks at a run."""


@dataclass(frozen=True, slots=True)
class Task(Generic[T]):
    """A call that must not raise, its budget in seconds, and its result when there is none, given the reason.

    The budget is processor time of the thread that makes the call; PATIENCE budgets are the limit by the clock.
    """

    call: Callable[[], T]
    budget_s: float
    instead: Callable[[str], T]


@dataclass(frozen=True, slots=True)
class Begun:
    """Which task is under way, the processor clock of its thread, and when it began by that and by the wall clock."""

    task: int
    clock: int
    cpu_s: float
    wall_s: float


@dataclass(slots=True, eq=False)
class Run(Generic[T]):
    """Tasks one after the other in one thread, as far as they got; none after one whose result is the `last`.

    `lock` is the pool's.
    """

    tasks: Sequence[Task[T]]
    last: Callable[[T], bool]
    lock: threading.Lock
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    done: asyncio.Event = field(default_factory=asyncio.Event)
    results: list[T] = field(default_factory=list)
    at: Begun | None = None
    finished: bool = False
    given_up: bool = False

    def execute(self) -> bool:
        """Make the calls; False when the run was given up on meanwhile. Only a worker thread may call it."""
        clock = time.pthread_getcpuclockid(threading.get_ident())
        for n, task in enumerate(self.tasks):
            if not self.begin(n, clock):
                return True
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

    def begin(self, task: int, clock: int) -> bool:
        """Note that a task is under way; False when the run was given up before any was."""
        with self.lock:
            if not self.given_up:
                self.at = Begun(task, clock, time.clock_gettime(clock), time.perf_counter())
            return not self.given_up

    def left(self) -> float:
        """Seconds until the task under way can be late; those to the next look while there is none."""
        at = self.at
        if at is None or at.task < len(self.results):
            return LOOK_S
        budget = self.tasks[at.task].budget_s
        used = time.clock_gettime(at.clock) - at.cpu_s
        return min(budget - used, budget * PATIENCE - (time.perf_counter() - at.wall_s))


class Workers:
    """A pool of threads that survives hanging tasks. Its threads start with the first run and end with the process."""

    def __init__(self, threads: int = THREADS, max_stuck: int = MAX_STUCK) -> None:
        self.threads = threads
        self.max_stuck = max_stuck
        self.hung_s = HUNG_S
        self.live = 0
        self.stuck: dict[Run[Any], float] = {}
        self.started = False
        self.lock = threading.Lock()
        self.queue: SimpleQueue[Run[Any]] = SimpleQueue()
        self.watching: set[asyncio.Task[Any]] = set()

    @property
    def hung(self) -> int:
        """How many threads were given up on more than `hung_s` seconds ago and are not back."""
        now = time.monotonic()
        with self.lock:
            return sum(now - since > self.hung_s for since in self.stuck.values())

    @property
    def healthy(self) -> bool:
        """Whether every thread that hung could be replaced. Threads that are missed for a while are no illness."""
        return self.hung <= self.max_stuck

    def check_health(self) -> None:
        """Raises RuntimeError when threads are missing for good: the process is to be replaced."""
        if not self.healthy:
            raise RuntimeError(f"{self.hung} threads hang in guardrail checks")

    async def run(self, tasks: Sequence[Task[T]], last: Callable[[T], bool]) -> list[T]:
        """The results of `tasks`, in order, up to the first that is the `last`; a late task's is its `instead`."""
        out: list[T] = []
        while len(out) < len(tasks) and not (out and last(out[-1])):
            rest = tasks[len(out) :]
            watch = asyncio.ensure_future(self.watch(Run(rest, last, self.lock)))
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
            if reason := self.give_up(run):
                return run.results, reason
            with suppress(TimeoutError):
                async with asyncio.timeout(max(run.left(), LEAST_S)):
                    await run.done.wait()
        return run.results, ""

    def give_up(self, run: Run[T]) -> str:
        """Why no more is wanted of `run` than is there; empty while it may go on. Its thread then counts as stuck.

        Another thread is started unless too many are stuck.
        """
        with self.lock:
            if run.at is None and not self.live:
                run.given_up = True
                return "no worker"
            if run.finished or run.left() > 0:
                return ""
            run.given_up = True
            self.live -= 1
            self.stuck[run] = time.monotonic()
            if len(self.stuck) <= self.max_stuck:
                self.spawn()
            return "timeout"

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

    def work(self) -> None:
        """A thread: run after run. One that was given up on comes back only where a thread is missed."""
        while True:
            run = self.queue.get()
            if run.execute():
                continue
            with self.lock:
                del self.stuck[run]
                if self.live == self.threads:
                    return
                self.live += 1
