"""A Qdrant server or cluster as the store, by gRPC. In tests the client's own memory stands in for the server."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import numpy as np
from grpc.aio import AioRpcError
from qdrant_client import AsyncQdrantClient, models
from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

from rag.errors import StageUnavailable
from rag.payload import DOCUMENT, KEYWORDS, payloads, point_id, to_info, to_passage
from rag.scope import Scope
from rag.sparse import SparseVector
from rag.store import OWNER, PAGE, Entry, Groups, IndexConfig, Owner, Scores, StoreConfig, StoreMismatch, to_owner
from rag.types import DocumentInfo, Passage, Vector

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

    def __init__(
        self, client: AsyncQdrantClient, collection: str, dimensions: int | None, config: IndexConfig | None = None
    ) -> None:
        """Without `dimensions` the collection must be there, and may hold vectors of any size."""
        self._config = config or IndexConfig()
        self._client = client
        self._collection = collection
        self._dimensions = dimensions
        self._checked = False

    async def _ready(self) -> None:
        """Make or check the collection, once. Raises StoreMismatch when it holds vectors of another size."""
        if self._checked:
            return
        if self._dimensions and not await self._client.collection_exists(self._collection):
            await make_collection(self._client, self._collection, self._dimensions, self._config)
        vectors = (await self._client.get_collection(self._collection)).config.params.vectors
        size = vectors[DENSE].size if isinstance(vectors, dict) and DENSE in vectors else None
        if self._dimensions not in (None, size):
            raise StoreMismatch(
                f"the collection {self._collection} holds {DENSE!r} vectors of {size} dimensions and the embedder "
                f"makes {self._dimensions}: configure the embedder that built it, or name another collection",
                "embed.model",
            )
        self._checked = True

    async def write(self, entries: Sequence[Entry], settle: bool = True) -> None:
        """The last PAGE points and what goes for all of them are one request: of no more passages than that, a caller
        that dies leaves the old or the new. Of more, it can leave both until the documents are written again.
        """
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
            written = [point.id for point in points]
            final: list[models.UpdateOperation] = []
            for tenant in {e.passage.tenant for e in entries}:
                owners = sorted({e.passage.document_id for e in entries if e.passage.tenant == tenant})
                stale = matching(Scope(tenant), owners)
                stale.must_not = [models.HasIdCondition(has_id=written)]
                final.append(models.DeleteOperation(delete=models.FilterSelector(filter=stale)))
            pages = [points[begin : begin + PAGE] for begin in range(0, len(points), PAGE)]
            for page in pages[:-1]:
                await self._client.upsert(self._collection, page, wait=True)
            if pages:
                last = models.UpsertOperation(upsert=models.PointsList(points=pages[-1]))
                await self._client.batch_update_points(self._collection, [last, *final], wait=True)

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

    async def search(self, vector: Vector, sparse: SparseVector, limit: int, scope: Scope) -> tuple[Scores, Scores]:
        async with reaching():
            await self._ready()
            request = partial(models.QueryRequest, filter=matching(scope), limit=limit, with_payload=False)
            requests = [request(query=vector.tolist(), using=DENSE, params=search_params(self._config))]
            if sparse.indices:
                corpus = models.IdfCorpusParams(corpus=matching(Scope(scope.tenant)))
                params = models.SearchParams(idf=corpus)
                requests.append(request(query=terms(sparse), using=SPARSE, params=params))
            found = await self._client.query_batch_points(self._collection, requests)
            sides = [{str(point.id): point.score for point in side.points} for side in found]
            return sides[0], sides[1] if len(sides) > 1 else {}

    async def fetch(self, ids: Sequence[str]) -> list[Passage]:
        async with reaching():
            records = await self._client.retrieve(self._collection, list(ids), with_payload=True)
        found = {str(record.id): record.payload or {} for record in records}
        return [to_passage(found[key]) for key in ids if key in found]

    async def owners(self, ids: Sequence[str]) -> dict[str, Owner]:
        async with reaching():
            records = await self._client.retrieve(self._collection, list(ids), with_payload=OWNER)
        return {str(record.id): to_owner(record.payload or {}) for record in records}

    async def delete(self, document_id: str, tenant: str, groups: Groups = None) -> bool:
        async with reaching():
            await self._ready()
            document = matching(Scope(tenant, groups), [document_id])
            found = bool((await self._client.count(self._collection, document, exact=True)).count)
            if found:
                await self._client.delete(self._collection, models.FilterSelector(filter=document), wait=True)
            return found

    async def documents(self, tenant: str, groups: Groups = None) -> list[DocumentInfo]:
        found = await self._listed(matching(Scope(tenant, groups), position=0), DOCUMENT)
        return sorted(map(to_info, found), key=lambda info: info.id)

    async def hidden(self, ids: Sequence[str], tenant: str, groups: Groups) -> list[str]:
        heads, seen = matching(Scope(tenant), ids, position=0), matching(Scope(tenant, groups))
        found = await self._listed(models.Filter(must=[heads], must_not=[seen]), ["document_id"])
        return sorted(payload["document_id"] for payload in found)

    async def _listed(self, wanted: models.Filter, fields: list[str]) -> list[dict[str, Any]]:
        out: list[dict[str, Any]] = []
        offset = None
        async with reaching():
            await self._ready()
            while True:
                records, offset = await self._client.scroll(
                    self._collection, wanted, limit=PAGE, offset=offset, with_payload=fields
                )
                out += [record.payload or {} for record in records]
                if offset is None:
                    return out

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


def matching(scope: Scope, document_id: Sequence[str] = (), position: int | None = None) -> models.Filter:
    """A filter for the scope's points, of these documents or at this position where given."""
    any_of = {"tenant": [scope.tenant]} | scope.any_of() | ({"document_id": list(document_id)} if document_id else {})
    must: list[models.Condition] = [
        models.FieldCondition(key=name, match=models.MatchAny(any=values)) for name, values in any_of.items()
    ]
    since, until = scope.dates()
    if since or until:
        must.append(models.FieldCondition(key="date", range=models.DatetimeRange(gte=since, lte=until)))
    if position is not None:
        must.append(models.FieldCondition(key="position", match=models.MatchValue(value=position)))
    return models.Filter(must=must)


def search_params(config: IndexConfig) -> models.SearchParams:
    """How the dense side is searched; what int8 copies find is scored again by the vectors themselves."""
    scalar = models.QuantizationSearchParams(rescore=True, oversampling=2.0)
    return models.SearchParams(hnsw_ef=config.ef, quantization=scalar if config.quantization == "scalar" else None)


async def make_collection(client: AsyncQdrantClient, collection: str, dimensions: int, config: IndexConfig) -> None:
    """An empty collection with the indexes that the filters use."""
    int8 = models.ScalarQuantizationConfig(type=models.ScalarType.INT8, quantile=0.99, always_ram=True)
    dense = models.VectorParams(size=dimensions, distance=models.Distance.COSINE, on_disk=config.on_disk)
    await client.create_collection(
        collection,
        vectors_config={DENSE: dense},
        sparse_vectors_config={SPARSE: models.SparseVectorParams(modifier=models.Modifier.IDF)},
        hnsw_config=models.HnswConfigDiff(m=config.hnsw_m, ef_construct=config.ef_construct),
        quantization_config=models.ScalarQuantization(scalar=int8) if config.quantization == "scalar" else None,
        on_disk_payload=True,
    )
    tenant = models.KeywordIndexParams(type=models.KeywordIndexType.KEYWORD, is_tenant=True)
    await client.create_payload_index(collection, "tenant", tenant)
    for name in KEYWORDS:
        await client.create_payload_index(collection, name, models.PayloadSchemaType.KEYWORD)
    await client.create_payload_index(collection, "date", models.PayloadSchemaType.DATETIME)
    await client.create_payload_index(collection, "position", models.PayloadSchemaType.INTEGER)
