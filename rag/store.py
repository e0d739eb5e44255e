"""Where passages are kept and searched: the role, its configuration, and its fake in memory.

A store is one index of dense and sparse vectors, with the whole passage as payload. It embeds nothing.
"""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from rag.errors import RaglanError
from rag.payload import payloads, point_id, to_info
from rag.scope import Scope
from rag.sparse import SparseVector
from rag.types import DocumentInfo, Passage, Vector

PAGE = 500
"""Points in one request, and in one page of what is listed."""
OWNER = ["document_id", "passages"]
"""The payload's fields that make an Owner."""


class StoreLocked(RaglanError):
    """Another process holds the index open."""


class StoreMismatch(RaglanError):
    """The index on disk was made for other vectors than the embedder's."""


class IndexConfig(BaseModel):
    """How vectors are indexed. All but `ef` count for indexes that are made from then on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hnsw_m: int = Field(16, ge=4, le=128, description="Links of a passage in the HNSW graph.")
    ef_construct: int = Field(128, ge=4, le=1_000, description="Candidates looked at while the graph is built.")
    ef: int = Field(128, ge=4, le=2_000, description="Candidates looked at in a search: more recall, more time.")
    on_disk: bool = Field(False, description="Read vectors and payload from disk rather than keep them in memory.")
    quantization: Literal["none", "scalar"] = Field(
        "none", description="'scalar': search int8 copies of the vectors, then score the best by the vectors."
    )


class StoreConfig(BaseModel):
    """Which store, and where."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["edge", "server"] = Field("edge", description="'edge': in this process, on disk; 'server': Qdrant.")
    path: Path = Field(
        Path("var/index"),
        description="Folder of the embedded index, and of the token vectors that the reranker reads; relative: from "
        "the project's root.",
    )
    url: str = Field("", description="URL of the Qdrant server; kind 'server' only.")
    api_key: SecretStr | None = Field(None, description="Key of the Qdrant server.")
    collection: str = Field(
        "raglan",
        pattern=r"^[\w.-]{1,200}$",
        description="Name of the collection: on the Qdrant server, and of its folder below `path`.",
    )
    refresh_s: float = Field(
        2.0, ge=0.1, le=3600, description="How often the embedded store looks for a newly promoted version, in seconds."
    )
    timeout_s: int = Field(10, ge=1, le=600, description="Longest wait for the Qdrant server, in seconds.")

    index: IndexConfig = IndexConfig()

    @model_validator(mode="after")
    def _server_has_url(self) -> Self:
        if self.kind == "server" and not self.url:
            raise ValueError("url: kind 'server' needs one")
        return self


Groups = tuple[str, ...] | None
Scores = dict[str, float]
"""Scores of stored passages by their points' ids: what a store finds is raw (cosine, or BM25) and stands best first."""


@dataclass(frozen=True, slots=True)
class Owner:
    """The document that a stored passage belongs to, by the tenant's id, and how many passages it has."""

    document: str
    passages: int


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

    async def search(self, vector: Vector, sparse: SparseVector, limit: int, scope: Scope) -> tuple[Scores, Scores]:
        """Return the scope's `limit` best passages by cosine, and by BM25 (only those that share a term).

        The IDF counts the tenant's passages. Passages do not come along: most are never looked at.
        """
        ...

    async def fetch(self, ids: Sequence[str]) -> list[Passage]:
        """The passages that `search` found, in the order of `ids`; without those deleted meanwhile."""
        ...

    async def owners(self, ids: Sequence[str]) -> dict[str, Owner]:
        """Whose the passages are that `search` found; without those deleted meanwhile."""
        ...

    async def delete(self, document_id: str, tenant: str, groups: Groups = None) -> bool:
        """Remove a document durably; False when there was none that `groups` may read (None: any)."""
        ...

    async def documents(self, tenant: str, groups: Groups = None) -> list[DocumentInfo]:
        """List the tenant's documents that `groups` may read (None: all), ordered by id."""
        ...

    async def hidden(self, ids: Sequence[str], tenant: str, groups: Groups) -> list[str]:
        """Those of `ids` that are documents of the tenant which `groups` may not read, in order."""
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

        return EdgeStore(config.path, dimensions, config.index)
    from rag.store_qdrant import QdrantStore, connect

    return QdrantStore(connect(config), config.collection, dimensions, config.index)


def to_owner(payload: dict[str, Any]) -> Owner:
    """The owner of the passage with this payload."""
    return Owner(payload["document_id"], payload["passages"])


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

    async def search(self, vector: Vector, sparse: SparseVector, limit: int, scope: Scope) -> tuple[Scores, Scores]:
        corpus = {key: e for key, (e, p) in self.points.items() if p["tenant"] == scope.tenant}
        weights = {key: dict(zip(e.sparse.indices, e.sparse.values, strict=True)) for key, e in corpus.items()}
        having = Counter(index for weight in weights.values() for index in weight)
        idf = {i: float(np.log1p((len(corpus) - having[i] + 0.5) / (having[i] + 0.5))) for i in sparse.indices}
        seen = [key for key in corpus if scope.covers(self.points[key][1])]
        dense = {key: float(corpus[key].vector @ vector) for key in seen}
        bm25 = {key: sum(idf[i] * weights[key].get(i, 0) for i in sparse.indices) for key in seen}
        return best(dense, limit), best({key: score for key, score in bm25.items() if score > 0}, limit)

    async def fetch(self, ids: Sequence[str]) -> list[Passage]:
        return [self.points[key][0].passage for key in ids if key in self.points]

    async def owners(self, ids: Sequence[str]) -> dict[str, Owner]:
        return {key: to_owner(self.points[key][1]) for key in ids if key in self.points}

    async def delete(self, document_id: str, tenant: str, groups: Groups = None) -> bool:
        gone = [
            key
            for key, (_, payload) in self.points.items()
            if payload["document_id"] == document_id and Scope(tenant, groups).covers(payload)
        ]
        for key in gone:
            del self.points[key]
        return bool(gone)

    async def documents(self, tenant: str, groups: Groups = None) -> list[DocumentInfo]:
        heads = [p for _, p in self.points.values() if p["position"] == 0 and Scope(tenant, groups).covers(p)]
        return sorted((to_info(payload) for payload in heads), key=lambda info: info.id)

    async def hidden(self, ids: Sequence[str], tenant: str, groups: Groups) -> list[str]:
        everything = {info.id for info in await self.documents(tenant)}
        seen = {info.id for info in await self.documents(tenant, groups)}
        return sorted(everything.intersection(ids) - seen)

    async def close(self) -> None:
        self.points = {}


def best(scores: Scores, limit: int) -> Scores:
    """The `limit` highest scores, highest first."""
    return dict(sorted(scores.items(), key=lambda one: -one[1])[:limit])
