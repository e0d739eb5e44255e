"""Who may come in when there is too much: a request whose first text would be late is refused at once.

The estimate rests on what those before have waited. By Little's law (J. D. C. Little, Operations Research 9(3), 1961)
N requests under way that are served at a rate X take N / X each. X grows with N until everything is busy, so the time
is learned near the N at hand, where it grows as N does: each answer tells how long it took with how many under way.
"""

import heapq
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, Field

from rag.errors import Overloaded

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
UNKNOWN = 32
"""Requests that may be under way before the first answer."""
LONGEST_RETRY_S = 30
LEFT_OVER = 0.8
"""The share of the rate of service that is promised to the refused; the rest is for who is new."""
SERVED = 64
"""Ends of requests that the rate of service is measured by."""


class AdmissionConfig(BaseModel):
    """When a chat request is refused because it would be late."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="Whether requests that would be late are refused.")
    ttft_s: float = Field(
        10, gt=0, description="A request is refused when its first text is estimated to take longer, in seconds."
    )
    max_in_flight: int = Field(
        256, ge=1, description="Most chat requests under way in one Ingress replica, for each model."
    )


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
        return self.seconds * max(1.0, under_way / max(self.under_way + 1, STEP * self.under_way))


@dataclass(slots=True)
class Place:
    """One admitted request. Its times are the clock's."""

    line: "Line"
    entered: float
    under_way: int
    gone: bool = False

    def answered(self) -> None:
        """Note that the first text has left."""
        now = self.line.clock()
        self.line.seen.append(Answered(now, now - self.entered, self.under_way))

    def leave(self) -> None:
        """Make room. Only the first call counts."""
        if not self.gone:
            self.gone = True
            self.line.under_way -= 1
            self.line.served.append(self.line.clock())


@dataclass(slots=True)
class Line:
    """One model's requests in this process. `turn` is when the next refused caller may come back."""

    clock: Callable[[], float]
    under_way: int = 0
    turn: float = 0.0
    seen: deque[Answered] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    served: deque[float] = field(default_factory=lambda: deque(maxlen=SERVED))

    def estimate(self, under_way: int) -> float | None:
        """The seconds to the first text with so many under way; None without an answer to tell from."""
        since = self.clock() - FRESH_S
        fresh = [a for a in self.seen if a.at >= since] or self.seen
        near = heapq.nsmallest(NEAREST, fresh, key=lambda a: (abs(math.log(a.under_way / under_way)), -a.at))
        times = sorted(a.with_so_many(under_way) for a in near)
        return times[math.ceil(QUANTILE * len(times)) - 1] if times else None

    def retry_after_s(self, excess_s: float) -> int:
        """Seconds to the refused caller's turn: after `excess_s`, one behind the other at the rate they are served.

        So the refused do not come back together. A turn is no reservation.
        """
        now = self.clock()
        recent = [at for at in self.served if at >= now - FRESH_S]
        gap = (now - recent[0]) / len(recent) / LEFT_OVER if recent else 1.0
        self.turn = min(max(self.turn, now + excess_s) + gap, now + LONGEST_RETRY_S)
        return max(1, math.ceil(self.turn - now))


class Admission:
    """Keeps the line of each model. `told` hears of each decision: model, estimated seconds (0: unknown), admitted."""

    def __init__(
        self,
        config: AdmissionConfig,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[str, float, bool], None] = lambda model, seconds, admitted: None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.told = told
        self.lines: defaultdict[str, Line] = defaultdict(lambda: Line(clock))

    def enter(self, model: str) -> Place:
        """Take a place, to be left when the request ends. Raises Overloaded with the time to come back."""
        line = self.lines[model]
        under_way = line.under_way + 1
        estimate = line.estimate(under_way)
        admitted = not self.config.enabled or under_way <= self.most(estimate)
        self.told(model, estimate or 0.0, admitted)
        if not admitted:
            excess = (estimate or 0.0) - self.config.ttft_s
            late = f"the first text would take about {estimate:.1f} s" if excess > 0 else "too many requests at once"
            raise Overloaded("admission", late, line.retry_after_s(max(0.0, excess)))
        line.under_way = under_way
        return Place(line, self.clock(), under_way)

    def most(self, estimate: float | None) -> int:
        """Requests that may be under way, the one that asks included. One alone waits for nobody and is a probe."""
        if estimate is None:
            return min(UNKNOWN, self.config.max_in_flight)
        return self.config.max_in_flight if estimate <= self.config.ttft_s else 1
