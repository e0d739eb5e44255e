"""The services of these tests: every role a fake, in memory."""

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import ASGIApp

from app.application import create_app
from app.review_queue import Entry, Fold, Listing, Review, Row
from app.services import Dependency, HttpConfig, ModelCard, Services
from guardrails.policy import Policy
from guardrails.policy_book import PolicyBook
from rag.admission import Admission, AdmissionConfig
from rag.errors import UnsupportedMedia
from rag.fakes import FakeEmbedder, FakeLibrary, FakeTrace, fake_stages
from rag.types import Document, DocumentInfo, Passage, RequestSettings

MODEL = "quote"


@dataclass
class FakeIngestor:
    """Each paragraph is a passage."""

    library: FakeLibrary
    added: list[Document] = field(default_factory=list)

    async def add(self, documents: Sequence[Document], groups: tuple[str, ...] | None = None) -> list[DocumentInfo]:
        self.added.extend(documents)
        infos = []
        for d in documents:
            parts = [p for p in d.text.split("\n\n") if p.strip()]
            passages = [
                Passage(f"{d.id}#{n}", d.id, p, d.title, d.url, metadata=d.metadata, tenant=d.tenant, groups=d.groups)
                for n, p in enumerate(parts)
            ]
            await self.library.upsert(passages, await FakeEmbedder().embed(parts), groups)
            infos.append(DocumentInfo(d.id, d.title, d.url, len(passages), d.metadata))
        return infos


def fake_read(name: str, data: bytes) -> list[Document]:
    """Plain text only."""
    if not name.endswith(".txt"):
        raise UnsupportedMedia("Only .txt here.")
    return [Document(name, data.decode(), name)]


@dataclass
class FakeTracer:
    """Remembers every trace it opened, with what it was opened with."""

    traces: list[FakeTrace] = field(default_factory=list)
    opened: list[dict[str, Any]] = field(default_factory=list)

    def start(
        self, name: str, input: Any, user: str | None, session: str | None, metadata: Mapping[str, str]
    ) -> FakeTrace:
        trace = FakeTrace(hashlib.md5(str(len(self.traces)).encode()).hexdigest())
        self.traces.append(trace)
        self.opened.append({"name": name, "input": input, "user": user, "session": session, **metadata})
        return trace


@dataclass
class FakeFeedback:
    """Rows in a list."""

    rows: list[Mapping[str, Any]] = field(default_factory=list)

    async def append(self, row: Mapping[str, Any]) -> None:
        self.rows.append(row)


class FakeReviews:
    """Rows in a list; over `most` flagged ones it is full."""

    def __init__(self, most: int = 1_000) -> None:
        self.rows: list[Row] = []
        self.fold = Fold()
        self.most = most

    @property
    def full(self) -> bool:
        return len(self.fold.entries) >= self.most

    async def append(self, row: Row) -> bool:
        if row["kind"] == "flagged" and self.full:
            return False
        self.fold.take(row, len(self.rows))
        self.rows.append(row)
        return True

    async def listing(self) -> Listing:
        return Listing(tuple(self.fold.entries.values()), self.full)

    async def read(self, entries: Iterable[Entry]) -> list[Review]:
        rows = self.rows
        return [Review(rows[e.flagged], None if e.decision is None else rows[e.decision]) for e in entries]


async def wide_awake(model: str) -> None:
    """Every model has a replica."""


def fake_mask(text: str) -> str:
    """One secret is known."""
    return text.replace("hunter2", "[secret]")


async def all_ready() -> list[Dependency]:
    return [Dependency("llm", True), Dependency("retriever", True, "3 documents")]


def fake_services(config: HttpConfig | None = None, roles: Mapping[str, Any] | None = None, **more: Any) -> Services:
    """Services of fakes; `roles` replaces stages, `more` replaces fields of Services."""
    library = FakeLibrary()
    stages = fake_stages(retriever=library, **(roles or {}))
    services = Services(
        config=config or HttpConfig(),
        models={MODEL: ModelCard(MODEL, "quote@1", 2048), "big": ModelCard("big", "passages@1", 8192)},
        defaults=RequestSettings(MODEL, "quote@1"),
        policies=PolicyBook(Policy(), [key.policy for key in (config or HttpConfig()).api_keys]),
        admission=Admission(AdmissionConfig()),
        stages=lambda trace: stages,
        embedder=stages.embedder,
        embedding_model="fake-embedder",
        count_tokens=lambda text: len(text.split()),
        library=library,
        ingestor=FakeIngestor(library),
        read=fake_read,
        tracer=FakeTracer(),
        feedback=FakeFeedback(),
        reviews=FakeReviews(),
        mask=fake_mask,
        awake=wide_awake,
        dependencies=all_ready,
        digest="d" * 16,
    )
    return replace(services, **more)


def browser(served: Services | FastAPI) -> httpx.AsyncClient:
    """An HTTP client of the application, in process."""
    app = served if isinstance(served, FastAPI) else create_app(served)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://raglan.test")


def question(text: str = "How do replicas scale?", **fields: Any) -> dict[str, Any]:
    """A chat request."""
    return {"model": MODEL, "messages": [{"role": "user", "content": text}], **fields}


def pass_time(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the running loop's clock stand that much later."""
    loop = asyncio.get_running_loop()
    now = loop.time
    monkeypatch.setattr(loop, "time", lambda: now() + seconds)


def sse(body: str) -> list[Any]:
    """The events of a stream: JSON objects, and the end mark as it stands."""
    lines = [line.removeprefix("data: ") for line in body.split("\n\n") if line]
    return [line if line == "[DONE]" else json.loads(line) for line in lines]


@dataclass
class Connection:
    """A raw ASGI connection to POST `path`, which the client may close at any time."""

    app: ASGIApp
    body: bytes
    path: str = "/v1/chat/completions"
    sent: list[dict[str, Any]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    body_read: bool = False

    async def run(self) -> None:
        headers = [(b"content-type", b"application/json"), (b"host", b"raglan.test")]
        scope = {"type": "http", "method": "POST", "path": self.path, "query_string": b"", "headers": headers}
        await self.app({**scope, "asgi": {"spec_version": "2.4"}}, self.receive, self.send)

    async def receive(self) -> dict[str, Any]:
        if not self.body_read:
            self.body_read = True
            return {"type": "http.request", "body": self.body, "more_body": False}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        async with self.arrived:
            self.sent.append(message)
            self.arrived.notify_all()

    async def until(self, messages: int) -> None:
        """Wait until so many ASGI messages were sent."""
        async with self.arrived:
            await self.arrived.wait_for(lambda: len(self.sent) >= messages)
