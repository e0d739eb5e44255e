"""Steady traffic through the whole graph, at a rate, whether or not it is answered; each answer is checked."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from benchmarks.chaos_answers import Answer, Ending, Expected, found, streamed, whole
from benchmarks.chaos_client import Client, Reply
from benchmarks.chaos_notes import Notes, Ratings, note, word
from benchmarks.chaos_profile import READER, WRITER
from benchmarks.serving_prompts import QUESTIONS

MIX = {"stream": 3.0, "chat": 1.5, "search": 7.5, "find": 3.0, "upload": 2.0, "delete": 1.5, "rate": 4.0, "list": 0.5}
"""Requests a second of each kind. `find` searches for a document that was uploaded."""
AGAIN = 0.1
"""The share of ratings that are sent twice though they were answered, as by a client that lost the answer."""
MOST_OPEN = 512
LEARN = 2
"""How often each question is asked before the faults."""


@dataclass(slots=True)
class Outcome:
    """One request. `at` and `seconds` are in seconds; `fault` is empty when it was answered, and rightly."""

    kind: str
    at: float
    seconds: float = 0.0
    status: int = 0
    fault: str = ""
    ending: Ending | None = None
    resumed: bool = False
    failovers: int = 0
    timings: dict[str, float] = field(default_factory=dict)

    @property
    def admitted(self) -> bool:
        """Whether Raglan took it on: it refuses with 429."""
        return self.status != 429


@dataclass
class Traffic:
    """What is sent. `outcomes` grows as requests end; `unsent` counts those for which too many were open."""

    client: Client
    seed: int
    expected: Expected = field(default_factory=Expected)
    notes: Notes = field(default_factory=Notes)
    ratings: Ratings = field(default_factory=Ratings)
    outcomes: list[Outcome] = field(default_factory=list)
    unsent: int = 0

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)
        self.open: set[asyncio.Task[None]] = set()
        self.kinds: dict[str, Callable[[Outcome], Awaitable[Reply]]] = {kind: getattr(self, kind) for kind in MIX}

    async def learn(self) -> list[str]:
        """Ask every question while nothing is wrong; return those whose answers cannot be checked."""
        for _ in range(LEARN):
            await asyncio.gather(*(self.learn_one(question) for question in QUESTIONS))
        return [question for question in QUESTIONS if not self.expected.answers[question]]

    async def learn_one(self, question: str) -> None:
        answer = whole(await self.client.ask(READER, "POST", "/v1/chat/completions", body(question, False)))
        if answer.ending == "done":
            self.expected.answers[question].add(answer.text)
        reply = await self.client.ask(READER, "POST", "/v1/search", {"query": question})
        self.expected.documents[question] |= set(found(reply)[:1])

    async def run(self, rate: float, until: asyncio.Event) -> None:
        """Send `rate` requests a second with Poisson arrivals until the event, then wait for what is open."""
        names, weights = list(MIX), list(MIX.values())
        due = now()
        while not until.is_set():
            await asyncio.sleep(max(0.0, due - now()))
            due += self.dice.expovariate(rate)
            if len(self.open) >= MOST_OPEN:
                self.unsent += 1
                continue
            (kind,) = self.dice.choices(names, weights)
            task = asyncio.create_task(self.one(kind))
            self.open.add(task)
            task.add_done_callback(self.open.discard)
        await asyncio.gather(*self.open)

    async def one(self, kind: str) -> None:
        """One request of a kind, noted when it has ended."""
        outcome = Outcome(kind, now())
        reply = await self.kinds[kind](outcome)
        outcome.status, outcome.failovers = reply.status, reply.failovers
        outcome.seconds = now() - outcome.at
        self.outcomes.append(outcome)

    async def stream(self, outcome: Outcome) -> Reply:
        return await self.asked(outcome, streaming=True, read=streamed)

    async def chat(self, outcome: Outcome) -> Reply:
        return await self.asked(outcome, streaming=False, read=whole)

    async def asked(self, outcome: Outcome, streaming: bool, read: Callable[[Reply], Answer]) -> Reply:
        question = self.dice.choice(QUESTIONS)
        reply = await self.client.ask(READER, "POST", "/v1/chat/completions", body(question, streaming))
        answer = read(reply)
        outcome.fault = self.expected.fault(question, answer)
        if answer.ending == "refused":
            outcome.fault = failed(reply, 200)
        elif streaming:
            outcome.ending = answer.ending
        outcome.resumed, outcome.timings = answer.resumed, answer.timings
        return reply

    async def search(self, outcome: Outcome) -> Reply:
        question = self.dice.choice(QUESTIONS)
        reply = await self.client.ask(READER, "POST", "/v1/search", {"query": question})
        outcome.fault = failed(reply, 200) or self.expected.search_fault(question, reply)
        return reply

    async def find(self, outcome: Outcome) -> Reply:
        """Search for a document that is stored; one that is removed meanwhile counts as found."""
        known = self.notes.settled(now())
        n = self.dice.choice(known) if known else 0
        reply = await self.client.ask(WRITER, "POST", "/v1/search", {"query": f"Who writes the log of {word(n)}?"})
        outcome.fault = failed(reply, 200)
        if not outcome.fault and n in self.notes.stored and note(n)["id"] not in found(reply):
            outcome.fault = f"{note(n)['id']} is not found"
        return reply

    async def upload(self, outcome: Outcome) -> Reply:
        n = self.notes.new()
        reply = await self.client.ask(WRITER, "POST", "/v1/documents", {"documents": [note(n)]})
        outcome.fault = failed(reply, 201)
        if outcome.fault:
            self.notes.unsure.add(n)
        else:
            self.notes.stored[n] = now()
        return reply

    async def delete(self, outcome: Outcome) -> Reply:
        """Remove a document; one that Raglan does not know must have been stored with doubt."""
        known = self.notes.settled(now())
        if not known:
            return await self.list(outcome)
        n = self.dice.choice(known)
        del self.notes.stored[n]
        reply = await self.client.ask(WRITER, "DELETE", f"/v1/documents/{note(n)['id']}")
        outcome.fault = failed(reply, 200)
        (self.notes.unsure if outcome.fault else self.notes.removed).add(n)
        return reply

    async def list(self, outcome: Outcome) -> Reply:
        reply = await self.client.ask(WRITER, "GET", "/v1/documents")
        outcome.fault = failed(reply, 200)
        return reply

    async def rate(self, outcome: Outcome) -> Reply:
        """Rate an answer; where no confirmation came, once more under the same id, which is a request of its own."""
        id = f"{self.dice.getrandbits(64):016x}"
        reply = await self.rated(id)
        outcome.fault = failed(reply, 201)
        if outcome.fault or self.dice.random() < AGAIN:
            again = Outcome("rate again", now())
            second = await self.rated(id)
            again.fault, again.status, again.seconds = failed(second, 201), second.status, now() - again.at
            self.outcomes.append(again)
            if not again.fault:
                self.ratings.kept.add(id)
        if not outcome.fault:
            self.ratings.kept.add(id)
        return reply

    async def rated(self, id: str) -> Reply:
        row = {"trace_id": id + id, "rating": "up"}
        return await self.client.ask(READER, "POST", "/v1/feedback", row, {"Idempotency-Key": id})


def failed(reply: Reply, wanted: int) -> str:
    """Why a reply is none; empty when it is."""
    if reply.broken:
        return reply.broken
    return "" if reply.status == wanted else f"HTTP {reply.status}"


def body(question: str, streaming: bool) -> dict[str, object]:
    """A greedy question."""
    messages = [{"role": "user", "content": question}]
    return {"model": "quote", "messages": messages, "max_tokens": 256, "temperature": 0, "stream": streaming}


def now() -> float:
    return asyncio.get_running_loop().time()
