"""Where passages are kept and searched: the role, its configuration, and its fake in memory.

A store is one index of dense and sparse vectors, with the whole passage as payload. It embeds nothing.
"""

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from rag.errors import RaglanError
from rag.sparse import SparseVector
from rag.types import DocumentInfo, Passage, Vector

NAMESPACE = uuid.UUID("7d8fe5f5-1d6c-4c3a-9c0e-6a8d7c1f2b90")
PASSAGE = frozenset(field.name for field in fields(Passage))
EVERYBODY = ""
"""The reader of a passage without groups; no group has this name."""
PAGE = 500
"""Points in one request, and in one page of what is listed."""
KEYWORDS = ("document_id", "readers", "source", "tags", "origin")
"""Payload fields with a keyword index, beside `tenant`."""


class StoreLocked(RaglanError):
    """Another process holds the index open."""


class StoreMismatch(RaglanError):
    """The index on disk was made for other vectors than the embedder's."""


class StoreConfig(BaseModel):
    """Which store, and where."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["edge", "server"] = Field("edge", description="'edge': in this process, on disk; 'server': Qdrant.")
    path: Path = Field(Path("var/index"), description="Folder of the index; kind 'edge' only.")
    url: str = Field("", description="URL of the Qdrant server; kind 'server' only.")
    api_key: SecretStr | None = Field(None, description="Key of the Qdrant server.")
    collection: str = Field("raglan", pattern=r"^[\w.-]{1,200}$", description="Collection on the Qdrant server.")
    refresh_s: float = Field(
        2.0, ge=0.1, le=3600, description="How often the embedded store looks for a newly promoted version, in seconds."
    )
    timeout_s: int = Field(10, ge=1, le=600, description="Longest wait for the Qdrant server, in seconds.")

    @model_validator(mode="after")
    def _server_has_url(self) -> Self:
        if self.kind == "server" and not self.url:
            raise ValueError("url: kind 'server' needs one")
        return self


@dataclass(frozen=True, slots=True)
class Scored:
    """A passage and its raw score on one side: cosine, or BM25."""

    passage: Passage
    score: float


@dataclass(frozen=True, slots=True)
class Entry:
    """A passage with its vectors, as it is written."""

    passage: Passage
    vector: Vector
    sparse: SparseVector


class Store(Protocol):
    """Passages by vector. Every method is safe to call concurrently and never blocks the event loop."""

    async def write(self, entries: Sequence[Entry], settle: bool = True) -> None:
        """Replace the documents that `entries` belong to; durable and searchable on return.

        A bulk load leaves `settle` out and calls `settle()` once, at its end.
        """
        ...

    async def settle(self) -> None:
        """Make what was written durable, and its indexes ready, on return."""
        ...

    def export(self, origin: str = "") -> AsyncIterator[list[Entry]]:
        """Every stored passage with its vectors, in pages; only those of this `metadata["origin"]` if one is given."""
        ...

    async def search(
        self, vector: Vector, sparse: SparseVector, limit: int, tenant: str
    ) -> tuple[list[Scored], list[Scored]]:
        """Return the tenant's `limit` best passages by cosine, and by BM25 (only those that share a term)."""
        ...

    async def delete(self, document_id: str, tenant: str) -> bool:
        """Remove a document durably; False when there was none."""
        ...

    async def documents(self, tenant: str) -> list[DocumentInfo]:
        """List the tenant's documents, ordered by id."""
        ...

    async def close(self) -> None:
        """Release files, locks and connections; the store is of no use after."""
        ...


def open_store(config: StoreConfig, dimensions: int) -> Store:
    """The configured store, for vectors of `dimensions`. A folder is opened now, and made if missing; a server is
    asked at the first call.

    Raises StoreLocked when another process has the folder open, StoreMismatch when the index holds other vectors.
    """
    if config.kind == "edge":
        from rag.store_edge import EdgeStore

        return EdgeStore(config.path, dimensions)
    from rag.store_qdrant import QdrantStore, connect

    return QdrantStore(connect(config), config.collection, dimensions)


def point_id(passage: Passage) -> str:
    """The same UUID for the same passage of the same tenant, always."""
    return str(uuid.uuid5(NAMESPACE, f"{passage.tenant}\0{passage.id}"))


def payloads(passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """What is stored beside each vector: the passage, its position, its document's passages, and what filters read."""
    counts = Counter((p.tenant, p.document_id) for p in passages)
    seen: Counter[tuple[str, str]] = Counter()
    out = []
    for passage in passages:
        key = (passage.tenant, passage.document_id)
        whole = {"headings": list(passage.headings), "groups": list(passage.groups), "also": list(passage.also)}
        place = {"position": seen[key], "passages": counts[key]}
        out.append(asdict(passage) | whole | {"metadata": dict(passage.metadata)} | place | marks(passage))
        seen[key] += 1
    return out


def marks(passage: Passage) -> dict[str, Any]:
    """The indexed fields that filters read: absent where the metadata says nothing, or no date that can be read."""
    given = passage.metadata
    found: dict[str, Any] = {name: given[name] for name in ("source", "origin") if given.get(name)}
    if tags := [tag for part in given.get("tags", "").split(",") if (tag := part.strip())]:
        found["tags"] = tags
    if date := moment(given.get("date", "")):
        found["date"] = date.isoformat()
    return found | {"readers": list(passage.groups) or [EVERYBODY]}


def moment(text: str) -> datetime | None:
    """An ISO 8601 date or time, in UTC where it names no zone; None for what is neither."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def to_passage(payload: dict[str, Any]) -> Passage:
    """The passage that `payloads` stored; what it does not name keeps its default."""
    given = {name: value for name, value in payload.items() if name in PASSAGE}
    return Passage(**given | {name: tuple(given.get(name, ())) for name in ("headings", "groups", "also")})


def to_info(payload: dict[str, Any]) -> DocumentInfo:
    """The document whose first passage has this payload."""
    return DocumentInfo(
        payload["document_id"],
        payload["title"],
        payload["url"].partition("#")[0],
        payload["passages"],
        payload["metadata"],
    )


class FakeStore:
    """Exact search over a dict, with the IDF of Qdrant's modifier."""

    def __init__(self) -> None:
        self.points: dict[str, tuple[Entry, dict[str, Any]]] = {}

    async def write(self, entries: Sequence[Entry], settle: bool = True) -> None:
        owners = {(e.passage.tenant, e.passage.document_id) for e in entries}
        self.points = {
            key: point
            for key, point in self.points.items()
            if (point[0].passage.tenant, point[0].passage.document_id) not in owners
        }
        for entry, payload in zip(entries, payloads([e.passage for e in entries]), strict=True):
            self.points[point_id(entry.passage)] = (entry, payload)

    async def settle(self) -> None:
        """What was written is there."""

    async def export(self, origin: str = "") -> AsyncIterator[list[Entry]]:
        kept = [e for e, _ in self.points.values() if not origin or e.passage.metadata.get("origin") == origin]
        for begin in range(0, len(kept), PAGE):
            yield kept[begin : begin + PAGE]

    async def search(
        self, vector: Vector, sparse: SparseVector, limit: int, tenant: str
    ) -> tuple[list[Scored], list[Scored]]:
        entries = [entry for entry, _ in self.points.values() if entry.passage.tenant == tenant]
        weights = [dict(zip(e.sparse.indices, e.sparse.values, strict=True)) for e in entries]
        having = Counter(index for weight in weights for index in weight)
        idf = {i: float(np.log1p((len(entries) - having[i] + 0.5) / (having[i] + 0.5))) for i in sparse.indices}
        dense = [Scored(e.passage, float(e.vector @ vector)) for e in entries]
        bm25 = [
            Scored(e.passage, sum(idf[i] * w[i] for i in sparse.indices if i in w))
            for e, w in zip(entries, weights, strict=True)
        ]
        return best(dense, limit), best([hit for hit in bm25 if hit.score > 0], limit)

    async def delete(self, document_id: str, tenant: str) -> bool:
        gone = [
            key
            for key, (entry, _) in self.points.items()
            if (entry.passage.tenant, entry.passage.document_id) == (tenant, document_id)
        ]
        for key in gone:
            del self.points[key]
        return bool(gone)

    async def documents(self, tenant: str) -> list[DocumentInfo]:
        heads = [p for _, p in self.points.values() if p["tenant"] == tenant and p["position"] == 0]
        return sorted((to_info(payload) for payload in heads), key=lambda info: info.id)

    async def close(self) -> None:
        self.points = {}


def best(hits: list[Scored], limit: int) -> list[Scored]:
    """The `limit` highest scores, highest first."""
    return sorted(hits, key=lambda hit: -hit.score)[:limit]
