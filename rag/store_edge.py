"""Qdrant's own engine in this process, on disk (Qdrant Edge). One process at a time holds an index open."""

import asyncio
import fcntl
import json
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, TextIO, TypeVar

import numpy as np
import qdrant_edge as edge

from rag.sparse import SparseVector
from rag.store import (
    KEYWORDS,
    PAGE,
    Entry,
    Scored,
    StoreLocked,
    StoreMismatch,
    payloads,
    point_id,
    to_info,
    to_passage,
)
from rag.types import DocumentInfo, Vector

DENSE = "dense"
SPARSE = "sparse"

T = TypeVar("T")


class EdgeStore:
    """A Store on one shard. Every call of the engine runs in one worker thread, one after another."""

    def __init__(self, path: Path, dimensions: int) -> None:
        """Open the index in the folder `path`, made if missing. Blocks; raises StoreLocked and StoreMismatch."""
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="qdrant-edge")
        try:
            self._shard, self._lock = self._worker.submit(open_shard, path, dimensions).result()
        except BaseException:
            self._worker.shutdown(wait=False)
            raise

    async def write(self, entries: Sequence[Entry], settle: bool = True) -> None:
        await self._run(lambda: self._write(entries))
        if settle:
            await self.settle()

    async def settle(self) -> None:
        await self._run(self._settle)

    async def export(self, origin: str = "") -> AsyncIterator[list[Entry]]:
        offset: Any = None
        while True:
            page, offset = await self._run(partial(self._page, origin, offset))
            if page:
                yield page
            if offset is None:
                return

    async def search(
        self, vector: Vector, sparse: SparseVector, limit: int, tenant: str
    ) -> tuple[list[Scored], list[Scored]]:
        return await self._run(lambda: self._search(vector, sparse, limit, tenant))

    async def delete(self, document_id: str, tenant: str) -> bool:
        return await self._run(lambda: self._delete(document_id, tenant))

    async def documents(self, tenant: str) -> list[DocumentInfo]:
        return await self._run(lambda: self._documents(tenant))

    async def close(self) -> None:
        await self._run(self._close)
        self._worker.shutdown(wait=False)

    async def _run(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._worker, call)

    def _write(self, entries: Sequence[Entry]) -> None:
        points = [
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
        for begin in range(0, len(points), PAGE):
            self._shard.update(edge.UpdateOperation.upsert_points(points[begin : begin + PAGE]))
        written = [point_id(entry.passage) for entry in entries]
        for tenant in {e.passage.tenant for e in entries}:
            owners = {e.passage.document_id for e in entries if e.passage.tenant == tenant}
            stale = matching(tenant, document_id=sorted(owners), but=written)
            self._shard.update(edge.UpdateOperation.delete_points_by_filter(stale))

    def _settle(self) -> None:
        self._shard.flush()
        self._shard.optimize()

    def _page(self, origin: str, offset: Any) -> tuple[list[Entry], Any]:
        own = edge.Filter(must=[edge.FieldCondition("origin", match=edge.MatchValue(origin))]) if origin else None
        request = edge.ScrollRequest(offset=offset, limit=PAGE, filter=own, with_payload=True, with_vector=True)
        records, following = self._shard.scroll(request)
        return [to_entry(record) for record in records], following

    def _search(
        self, vector: Vector, sparse: SparseVector, limit: int, tenant: str
    ) -> tuple[list[Scored], list[Scored]]:
        own = matching(tenant)
        queries = [edge.Query.Nearest(vector.tolist(), using=DENSE)]
        if sparse.indices:
            terms = edge.SparseVector(list(sparse.indices), list(sparse.values))
            queries.append(edge.Query.Nearest(terms, using=SPARSE))
        params = (None, edge.SearchParams(idf=edge.IdfParams(own)))
        found = self._shard.query_batch(
            edge.QueryBatchRequest(
                [
                    edge.QueryRequest(limit=limit, query=query, filter=own, with_payload=True, params=param)
                    for query, param in zip(queries, params, strict=False)
                ]
            )
        )
        sides = [[Scored(to_passage(point.payload or {}), point.score) for point in points] for points in found]
        return sides[0], sides[1] if len(sides) > 1 else []

    def _delete(self, document_id: str, tenant: str) -> bool:
        document = matching(tenant, document_id=[document_id])
        found = bool(self._shard.count(edge.CountRequest(filter=document)))
        if found:
            self._shard.update(edge.UpdateOperation.delete_points_by_filter(document))
            self._shard.flush()
        return found

    def _documents(self, tenant: str) -> list[DocumentInfo]:
        fields = ["document_id", "title", "url", "passages", "metadata"]
        heads = matching(tenant, position=0)
        out: list[DocumentInfo] = []
        offset = None
        while True:
            request = edge.ScrollRequest(offset=offset, limit=PAGE, filter=heads, with_payload=fields)
            records, offset = self._shard.scroll(request)
            out += [to_info(record.payload or {}) for record in records]
            if offset is None:
                return sorted(out, key=lambda info: info.id)

    def _close(self) -> None:
        self._shard.close()
        self._lock.close()


def to_entry(record: edge.Record) -> Entry:
    """What was written as this point."""
    vectors: Any = record.vector
    terms = vectors.get(SPARSE)
    sparse = SparseVector(tuple(terms.indices), tuple(terms.values)) if terms else SparseVector()
    return Entry(to_passage(record.payload or {}), np.array(vectors[DENSE], np.float32), sparse)


def matching(
    tenant: str,
    document_id: Sequence[str] = (),
    position: int | None = None,
    but: Iterable[str] = (),
) -> edge.Filter:
    """A filter for the tenant's points, of these documents or at this position where given, without the ids `but`."""
    must: list[Any] = [edge.FieldCondition("tenant", match=edge.MatchValue(tenant))]
    if document_id:
        must.append(edge.FieldCondition("document_id", match=edge.MatchAny(list(document_id))))
    if position is not None:
        must.append(edge.FieldCondition("position", match=edge.MatchValue(position)))
    return edge.Filter(must=must, must_not=[edge.HasIdCondition(set(but))])


def open_shard(path: Path, dimensions: int) -> tuple[edge.EdgeShard, TextIO]:
    """The shard in `path`, and the lock on `path/lock` that goes with it."""
    path.mkdir(parents=True, exist_ok=True)
    lock = (path / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return load_shard(path, dimensions), lock
    except BlockingIOError as error:
        lock.close()
        raise StoreLocked(
            f"the index {path} is open in another process: if that is the running application, send it the documents "
            "by POST /v1/documents instead, or stop it first",
            "path",
        ) from error
    except BaseException:
        lock.close()
        raise


def load_shard(path: Path, dimensions: int) -> edge.EdgeShard:
    """Load the shard in `path/edge`, or make it: `path/index.json`, written last, says that it was made whole."""
    made = path / "index.json"
    if not made.exists():
        shutil.rmtree(path / "edge", ignore_errors=True)
        shard = make_shard(path / "edge", dimensions)
        made.write_text(json.dumps({"dimensions": dimensions}))
        return shard
    size = json.loads(made.read_text())["dimensions"]
    if size != dimensions:
        raise StoreMismatch(
            f"the index {path} holds vectors of {size} dimensions and the embedder makes {dimensions}: "
            "configure the embedder that built the index, or remove the folder and build it again",
            "embed.model",
        )
    return edge.EdgeShard.load(str(path / "edge"))


def make_shard(path: Path, dimensions: int) -> edge.EdgeShard:
    """An empty shard with the indexes that the filters use."""
    path.mkdir()
    vectors = {DENSE: edge.EdgeVectorParams(size=dimensions, distance=edge.Distance.Cosine)}
    sparse = {SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)}
    shard = edge.EdgeShard.create(str(path), edge.EdgeConfig(vectors=vectors, sparse_vectors=sparse))
    index = edge.UpdateOperation.create_field_index
    shard.update(index("tenant", edge.KeywordIndexParams(is_tenant=True)))
    for name in KEYWORDS:
        shard.update(index(name, edge.PayloadSchemaType.Keyword))
    shard.update(index("date", edge.PayloadSchemaType.Datetime))
    shard.update(index("position", edge.PayloadSchemaType.Integer))
    shard.flush()
    return shard
