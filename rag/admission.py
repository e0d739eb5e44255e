"""Who may come in when there is too much: a request whose first text would be late is refused at once.

Interactive requests come before batch ones. An interactive one is judged as if no batch request were under way. A batch
one may enter only while all that are under way fill no more than a share of the room, and waits for that for a while.
To keep a part of the room for who matters more is the optimal rule where service times do not tell the classes apart
(trunk reservation: B. L. Miller, Management Science 16(3), 1969). What an interactive request still waits because of
batch is what they hold already (A. Cobham, Operations Research 2(1), 1954), and the share bounds that.
"""

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NoReturn

from pydantic import BaseModel, ConfigDict, Field

from rag.errors import Overloaded
from rag.line import Line, Place
from rag.types import Priority

UNKNOWN = 32
"""Requests that may be under way before the first answer."""


class AdmissionConfig(BaseModel):
    """When a chat request is refused because it would be late, and what batch requests may take."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(True, description="Whether requests that would be late are refused.")
    ttft_s: float = Field(
        10, gt=0, description="A request is refused when its first text is estimated to take longer, in seconds."
    )
    max_in_flight: int = Field(
        256, ge=1, description="Most interactive chat requests under way in one Ingress replica, for each model."
    )
    batch_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="The share of the room that may be filled when a batch request enters; the rest is kept for "
        "interactive ones.",
    )
    batch_waiting: int = Field(
        64, ge=0, description="Most batch requests that wait for room in one Ingress replica, for each model."
    )
    batch_wait_s: float = Field(
        30, ge=0, description="Longest time that a batch request waits for room before it is refused, in seconds."
    )


@dataclass(frozen=True, slots=True)
class Decision:
    """What became of one request: the estimate for it (0: unknown), and how long it waited."""

    model: str
    priority: Priority
    estimate_s: float
    admitted: bool
    waited_s: float


class Admission:
    """Keeps the line of each model. `told` hears of each decision, `waits` how many batch requests wait for a model."""

    def __init__(
        self,
        config: AdmissionConfig,
        clock: Callable[[], float] = time.monotonic,
        told: Callable[[Decision], None] = lambda decision: None,
        waits: Callable[[str, int], None] = lambda model, count: None,
    ) -> None:
        self.config = config
        self.clock = clock
        self.told = told
        self.waits = waits
        self.lines: dict[str, Line] = {}

    def line(self, model: str) -> Line:
        """The model's line."""
        if model not in self.lines:
            self.lines[model] = Line(self.clock, partial(self.call_in, model))
        return self.lines[model]

    def enter(self, model: str, priority: Priority = "interactive") -> Place:
        """Take a place now, to be left when the request ends. Raises Overloaded with the time to come back."""
        line = self.line(model)
        estimate_s, room = self.judge(line, priority)
        if not room or (priority == "batch" and line.waiting):
            self.refuse(model, priority, estimate_s)
        self.tell(model, priority, estimate_s)
        return line.enter(priority)

    async def wait(self, model: str) -> Place:
        """A place for a batch request, as soon as there is room and its turn. Raises Overloaded as `enter` does."""
        line, asked = self.line(model), self.clock()
        woken: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        take = partial(hand_over, woken)
        estimate_s, room = self.judge(line, "batch")
        if (room and not line.waiting) or not self.queue(model, take):
            return self.enter(model, "batch")
        try:
            async with asyncio.timeout(self.config.batch_wait_s):
                place = await woken
        except TimeoutError:
            self.give_up(model, take, woken)
            self.refuse(model, "batch", estimate_s, self.clock() - asked)
        except asyncio.CancelledError:
            self.give_up(model, take, woken)
            raise
        self.tell(model, "batch", estimate_s, self.clock() - asked)
        return place

    def queue(self, model: str, take: Callable[[Place], None]) -> bool:
        """Let a batch request wait: `take` is called with its place. False when too many wait."""
        waiting = self.line(model).waiting
        if len(waiting) >= self.config.batch_waiting:
            return False
        waiting.append(take)
        self.waits(model, len(waiting))
        return True

    def call_in(self, model: str) -> None:
        """Give the batch requests that wait what room there is."""
        line = self.line(model)
        while line.waiting and self.judge(line, "batch")[1]:
            take = line.waiting.popleft()
            self.waits(model, len(line.waiting))
            take(line.enter("batch"))

    def refuse(self, model: str, priority: Priority, estimate_s: float, waited_s: float = 0.0) -> NoReturn:
        """Raise Overloaded with the time to come back."""
        line = self.line(model)
        self.tell(model, priority, estimate_s, waited_s, admitted=False)
        excess_s, before = max(0.0, estimate_s - self.config.ttft_s), 0
        why = f"the first text would take about {estimate_s:.1f} s" if excess_s else "too many requests at once"
        if priority == "batch":
            excess_s, before, why = 0.0, len(line.waiting), "there is no room for batch requests"
        raise Overloaded("admission", why, line.queues[priority].retry_after_s(self.clock(), excess_s, before))

    def judge(self, line: Line, priority: Priority) -> tuple[float, bool]:
        """The seconds to the first text that count (0: unknown), and whether one more of this class may enter.

        One alone waits for nobody and is a probe.
        """
        if priority == "interactive":
            others = line.queues["interactive"].under_way
            under_way = others + 1
            estimate = line.without_batch(under_way)
        else:
            others = line.under_way
            under_way = math.ceil((others + 1) / self.config.batch_share)
            estimate = line.with_batch(under_way)
        room = not self.config.enabled or not others or under_way <= self.most(estimate)
        return estimate or 0.0, room

    def most(self, estimate: float | None) -> int:
        """Requests that may be under way where the first text takes so long with one more."""
        if estimate is None:
            return min(UNKNOWN, self.config.max_in_flight)
        return self.config.max_in_flight if estimate <= self.config.ttft_s else 0

    def give_up(self, model: str, take: Callable[[Place], None], woken: "asyncio.Future[Place]") -> None:
        """Wait no longer; a place that was given meanwhile is for the next."""
        waiting = self.line(model).waiting
        if take in waiting:
            waiting.remove(take)
            self.waits(model, len(waiting))
        if woken.done() and not woken.cancelled():
            woken.result().leave()

    def tell(
        self, model: str, priority: Priority, estimate_s: float, waited_s: float = 0.0, admitted: bool = True
    ) -> None:
        self.told(Decision(model, priority, estimate_s, admitted, waited_s))


def hand_over(woken: "asyncio.Future[Place]", place: Place) -> None:
    """Give a place to who waits for it; one who waits no longer passes it on."""
    if woken.done():
        place.leave()
    else:
        woken.set_result(place)
