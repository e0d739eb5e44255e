"""A Qdrant server or cluster as the store, by gRPC. In tests the client's own memory stands in for the server."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
from grpc.aio import AioRpcError
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from rag.errors import StageUnavailable
from rag.sparse import SparseVector
from rag.store import (
    KEYWORDS,
    PAGE,
    Entry,
    Scored,
    StoreConfig,
    StoreMismatch,
    payloads,
    point_id,
    to_info,
    to_passage,
)
from rag.types import DocumentInfo, Vector

DENSE = "dense"
SPARSE = "sparse"


def connect(config: StoreConfig) -> AsyncQdrantClient:
    """A client of the configured server; nothing is sent yet."""
    key = config.api_key.get_secret_value() if config.api_key else None
    return AsyncQdrantClient(
        url=config.url, api_key=key, prefer_grpc=True, timeout=config.timeout_s, check_compatibility=False
    )


@asynccontextmanager
async def reaching() -> AsyncIterator[None]:
    """Give what the client raises without a working server the name of the stage."""
    try:
        yield
    except (AioRpcError, ResponseHandlingException, UnexpectedResponse) as error:
        raise StageUnavailable("retrieve", "the Qdrant server does not answer as it should") from error


class QdrantStore:
    """A Store on one collection, made at the first call if it is missing.

    Every method raises StageUnavailable while the server cannot be reached, and recovers with it.
    """

    def __init__(self, client: AsyncQdrantClient, collection: str, dimensions: int) -> None:
        self._client = client
        self._collection = collection
        self._dimensions = dimensions
        self._checked = False

    async def _ready(self) -> None:
        """Make or check the collection, once. Raises StoreMismatch when it holds vectors of another size."""
        if self._checked:
            return
        if not await self._client.collection_exists(self._collection):
            await make_collection(self._client, self._collection, self._dimensions)
        vectors = (await self._client.get_collection(self._collection)).config.params.vectors
        size = vectors[DENSE].size if isinstance(vectors, dict) and DENSE in vectors else None
        if size != self._dimensions:
            raise StoreMismatch(
                f"the collection {self._collection} holds {DENSE!r} vectors of {size} dimensions and the embedder "
                f"makes {self._dimensions}: configure the embedder that built it, or name another collection",
                "embed.model",
            )
        self._checked = True

    async def write(self, entries: Sequence[Entry], settle: bool = True) -> None:
        async with reaching():
            await self._ready()
            points = [
                models.PointStruct(
                    id=point_id(entry.passage),
                    vector={DENSE: entry.vector.tolist(), SPARSE: terms(entry.sparse)},
                    payload=payload,
                )
                for entry, payload in zip(entries, payloads([e.passage for e in entries]), strict=True)
            ]
            for begin in range(0, len(points), PAGE):
                await self._client.upsert(self._collection, points[begin : begin + PAGE], wait=True)
            written = [point.id for point in points]
            for tenant in {e.passage.tenant for e in entries}:
                owners = sorted({e.passage.document_id for e in entries if e.passage.tenant == tenant})
                stale = matching(tenant, models.MatchAny(any=owners))
                stale.must_not = [models.HasIdCondition(has_id=written)]
                await self._client.delete(self._collection, models.FilterSelector(filter=stale), wait=True)

    async def settle(self) -> None:
        """The server keeps what it acknowledged, and optimises by itself."""

    async def export(self, origin: str = "") -> AsyncIterator[list[Entry]]:
        condition = models.FieldCondition(key="origin", match=models.MatchValue(value=origin))
        own = models.Filter(must=[condition]) if origin else None
        offset = None
        while True:
            async with reaching():
                await self._ready()
                records, offset = await self._client.scroll(
                    self._collection, own, limit=PAGE, offset=offset, with_payload=True, with_vectors=True
                )
            if records:
                yield [to_entry(record) for record in records]
            if offset is None:
                return

    async def search(
        self, vector: Vector, sparse: SparseVector, limit: int, tenant: str
    ) -> tuple[list[Scored], list[Scored]]:
        async with reaching():
            await self._ready()
            own = matching(tenant)
            requests = [
                models.QueryRequest(query=vector.tolist(), using=DENSE, filter=own, limit=limit, with_payload=True)
            ]
            if sparse.indices:
                params = models.SearchParams(idf=models.IdfCorpusParams(corpus=own))
                requests.append(
                    models.QueryRequest(
                        query=terms(sparse), using=SPARSE, filter=own, limit=limit, with_payload=True, params=params
                    )
                )
            found = await self._client.query_batch_points(self._collection, requests)
            sides = [[Scored(to_passage(p.payload or {}), p.score) for p in side.points] for side in found]
            return sides[0], sides[1] if len(sides) > 1 else []

    async def delete(self, document_id: str, tenant: str) -> bool:
        async with reaching():
            await self._ready()
            document = matching(tenant, models.MatchValue(value=document_id))
            found = bool((await self._client.count(self._collection, document, exact=True)).count)
            if found:
                await self._client.delete(self._collection, models.FilterSelector(filter=document), wait=True)
            return found

    async def documents(self, tenant: str) -> list[DocumentInfo]:
        async with reaching():
            await self._ready()
            heads = matching(tenant, position=0)
            out: list[DocumentInfo] = []
            offset = None
            while True:
                records, offset = await self._client.scroll(
                    self._collection,
                    heads,
                    limit=PAGE,
                    offset=offset,
                    with_payload=["document_id", "title", "url", "passages", "metadata"],
                )
                out += [to_info(record.payload or {}) for record in records]
                if offset is None:
                    return sorted(out, key=lambda info: info.id)

    async def close(self) -> None:
        await self._client.close()


def to_entry(record: models.Record) -> Entry:
    """What was written as this point."""
    vectors: Any = record.vector
    words = vectors.get(SPARSE)
    sparse = SparseVector(tuple(words.indices), tuple(words.values)) if words else SparseVector()
    return Entry(to_passage(record.payload or {}), np.array(vectors[DENSE], np.float32), sparse)


def terms(sparse: SparseVector) -> models.SparseVector:
    return models.SparseVector(indices=list(sparse.indices), values=list(sparse.values))


def matching(
    tenant: str, document_id: models.MatchAny | models.MatchValue | None = None, position: int | None = None
) -> models.Filter:
    """A filter for the tenant's points, of these documents or at this position where given."""
    conditions: dict[str, models.Match | None] = {
        "tenant": models.MatchValue(value=tenant),
        "document_id": document_id,
        "position": None if position is None else models.MatchValue(value=position),
    }
    return models.Filter(
        must=[models.FieldCondition(key=key, match=match) for key, match in conditions.items() if match is not None]
    )


async def make_collection(client: AsyncQdrantClient, collection: str, dimensions: int) -> None:
    """An empty collection with the indexes that the filters use."""
    await client.create_collection(
        collection,
        vectors_config={DENSE: models.VectorParams(size=dimensions, distance=models.Distance.COSINE)},
        sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
    )
    tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    await client.create_payload_index(collection, "tenant", tenant)
    for name in KEYWORDS:
        await client.create_payload_index(collection, name, models.PayloadSchemaType.KEYWORD)
    await client.create_payload_index(collection, "date", models.PayloadSchemaType.DATETIME)
    await client.create_payload_index(collection, "position", models.PayloadSchemaType.INTEGER)
