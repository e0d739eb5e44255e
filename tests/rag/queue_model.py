"""A simulated M/M/c queue behind an Admission: Poisson arrivals, c servers, and a batch job beside them."""

import heapq
import itertools
import math
import random
from collections import deque
from dataclasses import dataclass, field
from functools import partial

from rag.admission import Admission, AdmissionConfig
from rag.errors import Overloaded
from rag.line import Place
from rag.types import Priority


@dataclass
class Request:
    """One caller. `tries` counts how often it has asked."""

    asked: float
    tries: int = 0
    priority: Priority = "interactive"
    place: Place | None = None


@dataclass
class Outcome:
    """What became of the interactive requests, and how many batch ones were served; times are seconds."""

    ttft: list[float] = field(default_factory=list)
    retry_after: list[int] = field(default_factory=list)
    refused_at: list[float] = field(default_factory=list)
    second_tries: int = 0
    refused_again: int = 0
    batch_served: int = 0

    def quantile(self, share: float) -> float:
        ordered = sorted(self.ttft)
        return ordered[math.ceil(share * len(ordered)) - 1]


class Queue:
    """`servers` that take a second each on average, a tenth of it to the first text.

    First come, first served; where `ordered`, interactive requests before batch ones.
    """

    def __init__(self, servers: int, config: AdmissionConfig, seed: int = 0, ordered: bool = False) -> None:
        self.now = 0.0
        self.servers = self.free = servers
        self.ordered = ordered
        self.until = 0.0
        self.outage = (math.inf, math.inf)
        self.admission = Admission(config, lambda: self.now)
        self.dice = random.Random(seed)
        self.order = itertools.count()
        self.events: list[tuple[float, int, str, Request]] = []
        self.waiting: deque[Request] = deque()
        self.found = Outcome()
        self.patience: float | None = None

    def at(self, when: float, what: str, who: Request) -> None:
        heapq.heappush(self.events, (when, next(self.order), what, who))

    def run(self, load: float, seconds: float) -> Outcome:
        """Requests at `load` times what the servers can take, for so long; the refused do not come back."""
        when = 0.0
        while when < seconds:
            self.at(when, "ask", Request(when))
            when += self.dice.expovariate(load * self.servers)
        while self.events:
            self.now, _, what, who = heapq.heappop(self.events)
            getattr(self, what)(who)
            while self.free and self.waiting and not self.outage[0] <= self.now < self.outage[1]:
                self.serve(self.next())
        return self.found

    def next(self) -> Request:
        """Whose turn it is."""
        first = next((who for who in self.waiting if who.priority == "interactive"), self.waiting[0])
        who = first if self.ordered else self.waiting[0]
        self.waiting.remove(who)
        return who

    def with_outage(self, load: float, seconds: float, begin: float, end: float) -> Outcome:
        """The same as `run`, but from `begin` to `end` nothing is served."""
        self.outage = (begin, end)
        return self.run(load, seconds)

    def beside_a_job(self, load: float, seconds: float, workers: int) -> Outcome:
        """The same as `run`, and later a batch job beside it: so many workers that ask again when they were served."""
        self.until = seconds
        for _ in range(workers):
            self.at(seconds / 8, "ask_batch", Request(0.0, priority="batch"))
        return self.run(load, seconds)

    def ask_batch(self, who: Request) -> None:
        """Enter, or wait for a place, or come back when told to."""
        if self.now >= self.until:
            return
        try:
            self.taken(who, self.admission.enter("m", "batch"))
        except Overloaded as refused:
            if not self.admission.queue("m", partial(self.taken, who)):
                self.at(self.now + refused.retry_after_s, "ask_batch", who)

    def taken(self, who: Request, place: Place) -> None:
        who.place = place
        self.waiting.append(who)

    def returning(self, load: float, seconds: float, after_s: float = 0.0) -> Outcome:
        """The same, but the refused come back once: when they were told to, or `after_s` later."""
        self.patience = after_s
        return self.run(load, seconds)

    def ask(self, who: Request) -> None:
        who.tries += 1
        self.found.second_tries += who.tries == 2
        try:
            who.place = self.admission.enter("m")
            self.waiting.append(who)
        except Overloaded as refused:
            self.found.retry_after.append(refused.retry_after_s)
            self.found.refused_at.append(self.now)
            self.found.refused_again += who.tries == 2
            if self.patience is not None and who.tries == 1:
                self.at(self.now + (self.patience or refused.retry_after_s), "ask", who)

    def serve(self, who: Request) -> None:
        self.free -= 1
        first = self.dice.uniform(0.05, 0.15)
        self.at(self.now + first, "text", who)
        self.at(self.now + first + self.dice.expovariate(1 / 0.9), "end", who)

    def text(self, who: Request) -> None:
        assert who.place
        who.place.answered()
        if who.priority == "interactive":
            self.found.ttft.append(self.now - who.asked)

    def end(self, who: Request) -> None:
        assert who.place
        self.free += 1
        who.place.leave()
        if who.priority == "batch":
            self.found.batch_served += 1
            self.ask_batch(who)
