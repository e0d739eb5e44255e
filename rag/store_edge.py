"""Qdrant's own engine in this process, on disk (Qdrant Edge). One process at a time holds an index open."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import qdrant_edge as edge

from rag.edge_owners import Owners
from rag.edge_pending import Pending
from rag.edge_shard import DENSE, SPARSE, open_shard
from rag.payload import DOCUMENT, payloads, point_id, to_info, to_passage
from rag.scope import Scope
from rag.sparse import SparseVector
from rag.store import PAGE, Entry, Groups, IndexConfig, Owner, Scores
from rag.types import DocumentInfo, Passage, Vector

READERS = 2
"""Searches at a time: the engine spreads each over threads of its own."""

T = TypeVar("T")


class EdgeStore:
    """A Store on one shard. Changes run one after another; searches run beside them and beside each other."""

    def __init__(self, path: Path, dimensions: int, config: IndexConfig | None = None) -> None:
        """Open the index in the folder `path`, made if missing, and finish a write that a kill cut off.

        Blocks; raises StoreLocked and StoreMismatch.
        """
        config = config or IndexConfig()
        self._shard, self._lock = open_shard(path, dimensions, config)
        self._dimensions = dimensions
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="qdrant-edge-write")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="qdrant-edge-read")
        self._params = search_params(config)
        self._changes = 0
        self._sole: tuple[str, int] | None = None
        """The tenant that held every passage, and after how many changes."""
        self._owners = Owners(self._shard)
        self._pending = Pending(path)
        try:
            self._resume()
        except BaseException:
            self._owners.close()
            self._close()
            raise

    async def write(self, entries: Sequence[Entry], settle: bool = True) -> None:
        await self._change(partial(self._replace if settle else self._write, entries))

    async def settle(self) -> None:
        await self._change(self._settle)

    async def export(self, origin: str = "") -> AsyncIterator[list[Entry]]:
        offset: Any = None
        while True:
            page, offset = await self._read(partial(self._page, origin, offset))
            if page:
                yield page
            if offset is None:
                return

    async def search(self, vector: Vector, sparse: SparseVector, limit: int, scope: Scope) -> tuple[Scores, Scores]:
        return await self._read(partial(self._search, vector, sparse, limit, scope))

    async def nearest(self, vector: Vector, limit: int, scope: Scope) -> Scores:
        """The dense side by exact search: what the index is measured against."""
        return await self._read(partial(self._nearest, vector, limit, scope))

    async def fetch(self, ids: Sequence[str]) -> list[Passage]:
        return await self._read(partial(self._fetch, ids))

    async def owners(self, ids: Sequence[str]) -> dict[str, Owner]:
        known = self._owners.known(ids)
        return known if len(known) == len(ids) else await self._read(partial(self._owners.of, ids))

    async def delete(self, document_id: str, tenant: str, groups: Groups = None) -> bool:
        return await self._change(partial(self._delete, document_id, Scope(tenant, groups)))

    async def documents(self, tenant: str, groups: Groups = None) -> list[DocumentInfo]:
        heads = matching(Scope(tenant, groups), position=0)
        found = await self._read(partial(self._listed, heads, DOCUMENT))
        return sorted(map(to_info, found), key=lambda info: info.id)

    async def hidden(self, ids: Sequence[str], tenant: str, groups: Groups) -> list[str]:
        heads = matching(Scope(tenant), document_id=ids, position=0)
        seen = matching(Scope(tenant, groups))
        others = edge.Filter(must=[heads], must_not=[seen])
        return sorted(p["document_id"] for p in await self._read(partial(self._listed, others, ["document_id"])))

    async def close(self) -> None:
        """Searches and changes under way come to their end first."""
        await asyncio.to_thread(self._owners.close)
        await asyncio.to_thread(self._readers.shutdown)
        await self._change(self._close)
        self._writer.shutdown(wait=False)

    async def _read(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._readers, call)

    async def _change(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._writer, call)

    def _replace(self, entries: Sequence[Entry]) -> None:
        """`_write` and `_settle`, as one: from when it is noted on disk that they are due, they are made good."""
        self._resume()
        points = to_points(entries)
        if any(entry.vector.shape != (self._dimensions,) for entry in entries):
            raise ValueError(f"vectors must have {self._dimensions} dimensions")
        self._pending.save(entries)
        self._finish(entries, points)

    def _resume(self) -> None:
        """Finish what an earlier change began."""
        if entries := self._pending.load():
            self._finish(entries, to_points(entries))

    def _finish(self, entries: Sequence[Entry], points: list[edge.Point]) -> None:
        self._apply(entries, points)
        self._settle()
        self._pending.clear()

    def _write(self, entries: Sequence[Entry]) -> None:
        self._apply(entries, to_points(entries))

    def _apply(self, entries: Sequence[Entry], points: list[edge.Point]) -> None:
        for begin in range(0, len(points), PAGE):
            self._shard.update(edge.UpdateOperation.upsert_points(points[begin : begin + PAGE]))
        self._changes += 1
        self._owners.forget({entry.passage.document_id for entry in entries})
        written = [point_id(entry.passage) for entry in entries]
        for tenant in {e.passage.tenant for e in entries}:
            owners = {e.passage.document_id for e in entries if e.passage.tenant == tenant}
            stale = matching(Scope(tenant), document_id=sorted(owners), but=written)
            self._shard.update(edge.UpdateOperation.delete_points_by_filter(stale))

    def _settle(self) -> None:
        self._shard.flush()
        self._shard.optimize()

    def _page(self, origin: str, offset: Any) -> tuple[list[Entry], Any]:
        own = edge.Filter(must=[edge.FieldCondition("origin", match=edge.MatchValue(origin))]) if origin else None
        request = edge.ScrollRequest(offset=offset, limit=PAGE, filter=own, with_payload=True, with_vector=True)
        records, following = self._shard.scroll(request)
        return [to_entry(record) for record in records], following

    def _search(self, vector: Vector, sparse: SparseVector, limit: int, scope: Scope) -> tuple[Scores, Scores]:
        own = matching(scope)
        request = partial(edge.QueryRequest, limit=limit, filter=own, with_payload=False)
        requests = [request(query=edge.Query.Nearest(vector.tolist(), using=DENSE), params=self._params)]
        if sparse.indices:
            terms = edge.SparseVector(list(sparse.indices), list(sparse.values))
            params = edge.SearchParams(idf=self._corpus(scope.tenant))
            requests.append(request(query=edge.Query.Nearest(terms, using=SPARSE), params=params))
        found = self._shard.query_batch(edge.QueryBatchRequest(requests))
        sides = [{str(point.id): point.score for point in points} for points in found]
        return sides[0], sides[1] if len(sides) > 1 else {}

    def _nearest(self, vector: Vector, limit: int, scope: Scope) -> Scores:
        query, params = edge.Query.Nearest(vector.tolist(), using=DENSE), edge.SearchParams(exact=True)
        found = self._shard.query(edge.QueryRequest(limit=limit, query=query, filter=matching(scope), params=params))
        return {str(point.id): point.score for point in found}

    def _corpus(self, tenant: str) -> edge.IdfParams | None:
        """What the IDF counts. Counting a part costs by its size; a tenant that holds everything needs none."""
        changes = self._changes
        if self._sole == (tenant, changes):
            return None
        own = matching(Scope(tenant))
        if self._shard.count(edge.CountRequest()) == self._shard.count(edge.CountRequest(filter=own)):
            self._sole = (tenant, changes)
        return edge.IdfParams(own)

    def _fetch(self, ids: Sequence[str]) -> list[Passage]:
        records = self._shard.retrieve(list(ids), with_payload=True, with_vector=False)
        found = {str(record.id): record.payload or {} for record in records}
        return [to_passage(found[key]) for key in ids if key in found]

    def _delete(self, document_id: str, scope: Scope) -> bool:
        self._resume()
        document = matching(scope, document_id=[document_id])
        found = bool(self._shard.count(edge.CountRequest(filter=document)))
        if found:
            self._shard.update(edge.UpdateOperation.delete_points_by_filter(document))
            self._changes += 1
            self._owners.forget({document_id})
            self._shard.flush()
        return found

    def _listed(self, wanted: edge.Filter, fields: list[str]) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        offset = None
        while True:
            request = edge.ScrollRequest(offset=offset, limit=PAGE, filter=wanted, with_payload=fields)
            records, offset = self._shard.scroll(request)
            out += [record.payload or {} for record in records]
            if offset is None:
                return out

    def _close(self) -> None:
        self._shard.close()
        self._lock.close()


def to_points(entries: Sequence[Entry]) -> list[edge.Point]:
    """What the engine keeps of them. Raises TypeError for what it cannot keep, before anything is written."""
    return [
        edge.Point(
            point_id(entry.passage),
            {
                DENSE: entry.vector.tolist(),
                SPARSE: edge.SparseVector(list(entry.sparse.indices), list(entry.sparse.values)),
            },
            payload,
        )
        for entry, payload in zip(entries, payloads([e.passage for e in entries]), strict=True)
    ]


def to_entry(record: edge.Record) -> Entry:
    """What was written as this point."""
    vectors: Any = record.vector
    terms = vectors.get(SPARSE)
    sparse = SparseVector(tuple(terms.indices), tuple(terms.values)) if terms else SparseVector()
    return Entry(to_passage(record.payload or {}), np.array(vectors[DENSE], np.float32), sparse)


def matching(
    scope: Scope, document_id: Sequence[str] = (), position: int | None = None, but: Iterable[str] = ()
) -> edge.Filter:
    """A filter for the scope's points, of these documents or at this position where given, without the ids `but`."""
    must: list[Any] = [edge.FieldCondition("tenant", match=edge.MatchValue(scope.tenant))]
    must += [edge.FieldCondition(name, match=edge.MatchAny(values)) for name, values in scope.any_of().items()]
    since, until = (when.isoformat() if when else None for when in scope.dates())
    if since or until:
        must.append(edge.FieldCondition("date", range=edge.RangeDateTime(gte=since, lte=until)))
    if document_id:
        must.append(edge.FieldCondition("document_id", match=edge.MatchAny(list(document_id))))
    if position is not None:
        must.append(edge.FieldCondition("position", match=edge.MatchValue(position)))
    return edge.Filter(must=must, must_not=[edge.HasIdCondition(set(but))] if but else None)


def search_params(config: IndexConfig) -> edge.SearchParams:
    """How the dense side is searched; what int8 copies find is scored again by the vectors themselves."""
    scalar = edge.QuantizationSearchParams(rescore=True, oversampling=2.0) if config.quantization == "scalar" else None
    return edge.SearchParams(hnsw_ef=config.ef, quantization=scalar)
