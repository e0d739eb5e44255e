"""One model's chat requests in one process: how many are under way, how long their first texts took, who waits.

By Little's law (J. D. C. Little, Operations Research 9(3), 1961) N requests under way that are served at a rate X take
N / X each. X grows with N until everything is busy, so the time is learned near the N at hand, where it grows as N
does: each answer tells how long it took with how many under way.
An outage's times are forgotten when it is over.
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from rag.types import Priority

REMEMBERED = 256
"""Answers that are remembered of each model."""
FRESH_S = 60.0
"""The seconds after which they count only where nothing newer is known."""
NEAREST = 32
"""Answers that an estimate rests on: those that came when about as many were under way."""
QUANTILE = 0.95
"""Of their times; so few of those admitted are late."""
STEP = 1.1
"""How many times as many as there were are tried."""
OVER = 8
"""What took so many times as long as the latest answers show was an outage, or the like, and is over."""
LATEST = 8
"""Answers in a row that show it."""
LEFT_OVER = 0.8
"""The share of the rate of service that is promised to the refused; the rest is for who is new."""
SERVED = 64
"""Ends of requests that the rate of service is measured by."""
LONGEST_RETRY_S = {"interactive": 30, "batch": 600}


@dataclass(frozen=True, slots=True)
class Answered:
    """A first text: when it came, after how many seconds, and how many were under way at its request."""

    at: float
    seconds: float
    under_way: int

    def with_so_many(self, under_way: int) -> float:
        """The seconds it would have taken. A few more than there were are taken to cost nothing: so they are tried."""
        if under_way <= self.under_way:
            return self.seconds * under_way / self.under_way
        return max(self.seconds, under_way * self.least_each)

    @property
    def least_each(self) -> float:
        """The least share of each of them, however many they would be."""
        return self.seconds / max(self.under_way + 1, STEP * self.under_way)


@dataclass(slots=True)
class Times:
    """The latest answers, as far as they are remembered."""

    clock: Callable[[], float]
    seen: deque[Answered] = field(default_factory=lambda: deque(maxlen=REMEMBERED))

    def note(self, seconds: float, under_way: int) -> None:
        """A first text has left now."""
        self.seen.append(Answered(self.clock(), seconds, under_way))
        self.forget()

    def forget(self) -> None:
        """Forget what took far longer than it would by the latest answers, all of which were asked for afterwards."""
        if len(self.seen) <= LATEST:
            return
        latest = [self.seen[-n] for n in range(1, LATEST + 1)]
        asked = min(answer.at - answer.seconds for answer in latest)
        least = OVER * max(answer.least_each for answer in latest)
        for past in [a for a in self.seen if a.at <= asked and a.seconds > least * a.under_way]:
            if past.seconds > OVER * max(answer.with_so_many(past.under_way) for answer in latest):
                self.seen.remove(past)

    @property
    def fresh(self) -> bool:
        """Whether the last answer is new enough to go by."""
        return bool(self.seen) and self.seen[-1].at >= self.clock() - FRESH_S

    def estimate(self, under_way: int) -> float | None:
        """The seconds to the first text with so many under way; None without an answer to tell from."""
        since = self.clock() - FRESH_S
        newest_first: dict[int, list[Answered]] = {}
        for answer in [a for a in reversed(self.seen) if a.at >= since] or reversed(self.seen):
            newest_first.setdefault(answer.under_way, []).append(answer)
        near = list[Answered]()
        for number in sorted(newest_first, key=lambda n: abs(math.log(n / under_way))):
            near += newest_first[number][: NEAREST - len(near)]
            if len(near) == NEAREST:
                break
        times = sorted(a.with_so_many(under_way) for a in near)
        return times[math.ceil(QUANTILE * len(times)) - 1] if times else None


@dataclass(slots=True)
class Queue:
    """The requests of one class. `came` counts them; `turn` is when the next refused caller may come back."""

    priority: Priority
    under_way: int = 0
    came: int = 0
    turn: float = 0.0
    served: deque[float] = field(default_factory=lambda: deque(maxlen=SERVED))

    def gap_s(self, now: float) -> float | None:
        """Seconds from one end to the next, as promised; None where none has ended lately."""
        recent = [at for at in self.served if at >= now - FRESH_S]
        return (now - recent[0]) / len(recent) / LEFT_OVER if recent else None

    def retry_after_s(self, now: float, excess_s: float, before: int) -> int:
        """Seconds to the refused caller's turn: after `excess_s` and the `before` who wait, one behind the other.

        So the refused do not come back together. A turn is no reservation. Where no batch request has ended for a
        minute, they end no faster than one a minute.
        """
        longest = LONGEST_RETRY_S[self.priority]
        gap = self.gap_s(now) or (1.0 if self.priority == "interactive" else FRESH_S)
        self.turn = min(max(self.turn, now + excess_s + before * gap) + gap, now + longest)
        return max(1, math.ceil(self.turn - now))


@dataclass(slots=True)
class Place:
    """One admitted request, at `entered` by the clock. `among` counts all who were under way, it included.

    `even` says that they were of its own class; `came` counts the interactive requests that had ever come.
    """

    line: "Line"
    priority: Priority
    entered: float
    among: int
    even: bool
    came: int
    gone: bool = False

    def answered(self) -> None:
        """Note that the first text has left. A batch request that an interactive one went before tells nothing."""
        line = self.line
        if self.priority == "batch" and not (self.even and self.came == line.queues["interactive"].came):
            return
        times = line.even if self.even else line.mixed
        times.note(line.clock() - self.entered, self.among)

    def leave(self) -> None:
        """Make room. Only the first call counts."""
        if not self.gone:
            self.gone = True
            self.line.left(self.priority)


class Line:
    """One model's requests in this process. `vacated` hears of each place given back; `waiting` take one in turn.

    `even` is what was learned with requests of one class alone, `mixed` what interactive ones took beside batch.
    """

    def __init__(self, clock: Callable[[], float], vacated: Callable[[], None] = lambda: None) -> None:
        self.clock = clock
        self.vacated = vacated
        self.queues: dict[Priority, Queue] = {"interactive": Queue("interactive"), "batch": Queue("batch")}
        self.even, self.mixed = Times(clock), Times(clock)
        self.waiting: deque[Callable[[Place], None]] = deque()

    @property
    def under_way(self) -> int:
        """Requests of both classes."""
        return sum(queue.under_way for queue in self.queues.values())

    def enter(self, priority: Priority) -> Place:
        """Take a place, whether or not there is room."""
        self.queues[priority].under_way += 1
        self.queues[priority].came += 1
        even = self.queues[priority].under_way == self.under_way
        return Place(self, priority, self.clock(), self.under_way, even, self.queues["interactive"].came)

    def left(self, priority: Priority) -> None:
        """A request of this class has ended."""
        queue = self.queues[priority]
        queue.under_way -= 1
        queue.served.append(self.clock())
        self.vacated()

    def without_batch(self, under_way: int) -> float | None:
        """The seconds to the first text with so many interactive requests and no batch; None: unknown.

        Where nothing was learned without batch lately, what it took beside batch tells the least it would: as if each
        batch request had cost as much as an interactive one. So nobody interactive is refused for batch.
        """
        times = self.even if self.even.fresh or not self.mixed.seen else self.mixed
        return times.estimate(under_way)

    def with_batch(self, under_way: int) -> float | None:
        """The seconds to the first text with so many of either class: the higher of what is known; None: unknown."""
        known = (self.even.estimate(under_way), self.mixed.estimate(under_way))
        return max((seconds for seconds in known if seconds is not None), default=None)
