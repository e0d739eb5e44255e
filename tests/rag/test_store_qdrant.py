"""A Qdrant server that is gone and comes back, over real gRPC: the stage is named, and nothing has to be restarted."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import numpy as np
import pytest
from qdrant_client import AsyncQdrantClient, models
from qdrant_client import grpc as wire
from qdrant_client.grpc import collections_service_pb2_grpc as collections
from qdrant_client.grpc import points_service_pb2_grpc as points

from rag.errors import StageUnavailable
from rag.scope import Scope
from rag.sparse import document_vector, query_vector
from rag.store import Entry, Scores, StoreConfig, StoreMismatch
from rag.store_qdrant import QdrantStore, connect
from rag.types import Passage

VECTOR = np.eye(4, dtype=np.float32)[0]
POINT = "5c56c793-69f3-4fbf-87e6-c4bf54c28c26"


class Collections(collections.CollectionsServicer):  # type: ignore[misc]  # generated without types
    """One collection of four dimensions."""

    async def CollectionExists(self, request: Any, context: Any) -> Any:
        return wire.CollectionExistsResponse(result=wire.CollectionExists(exists=True))

    async def Get(self, request: Any, context: Any) -> Any:
        dense = {"dense": wire.VectorParams(size=4, distance=wire.Distance.Cosine)}
        vectors = wire.VectorsConfig(params_map=wire.VectorParamsMap(map=dense))
        config = wire.CollectionConfig(
            params=wire.CollectionParams(vectors_config=vectors, shard_number=1),
            hnsw_config=wire.HnswConfigDiff(m=16, ef_construct=100, full_scan_threshold=10_000),
            optimizer_config=wire.OptimizersConfigDiff(
                deleted_threshold=0.2,
                vacuum_min_vector_number=1_000,
                default_segment_number=0,
                flush_interval_sec=5,
            ),
            wal_config=wire.WalConfigDiff(wal_capacity_mb=32, wal_segments_ahead=0),
        )
        return wire.GetCollectionInfoResponse(
            result=wire.CollectionInfo(
                config=config, status=wire.CollectionStatus.Green, optimizer_status=wire.OptimizerStatus(ok=True)
            )
        )


class Points(points.PointsServicer):  # type: ignore[misc]  # generated without types
    """The same point for every query."""

    async def QueryBatch(self, request: Any, context: Any) -> Any:
        point = wire.ScoredPoint(id=wire.PointId(uuid=POINT), score=0.5)
        return wire.QueryBatchResponse(result=[wire.BatchResult(result=[point]) for _ in request.query_points])


async def serving(port: int) -> grpc.aio.Server:
    server = grpc.aio.server()
    collections.add_CollectionsServicer_to_server(Collections(), server)
    points.add_PointsServicer_to_server(Points(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    return server


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def searched(store: QdrantStore) -> Scores:
    dense, sparse = await store.search(VECTOR, query_vector("replicas"), 5, Scope("default", ()))
    assert dense == sparse
    return dense


async def recovered(store: QdrantStore) -> Scores:
    """The first answer: the client tries to connect again at its own pace."""
    while True:
        try:
            return await searched(store)
        except StageUnavailable:
            await asyncio.sleep(0.1)


@pytest.mark.world
async def test_a_server_that_is_gone_is_named_and_its_return_is_noticed() -> None:
    port = free_port()
    client = AsyncQdrantClient(
        url="http://127.0.0.1:6333", grpc_port=port, prefer_grpc=True, timeout=2, check_compatibility=False
    )
    store = QdrantStore(client, "passages", 4)
    for _ in range(2):
        with pytest.raises(StageUnavailable) as caught:
            await searched(store)
        assert caught.value.stage == "retrieve"
        server = await serving(port)
        try:
            assert await recovered(store) == {POINT: 0.5}
        finally:
            await server.stop(None)
    for call in (store.fetch([POINT]), store.documents("default", ()), store.hidden(["a"], "default", ())):
        with pytest.raises(StageUnavailable):
            await call
    await store.close()


@pytest.mark.world
async def test_nothing_listens_where_the_configuration_points() -> None:
    store = QdrantStore(connect(StoreConfig(kind="server", url="http://127.0.0.1:9", timeout_s=2)), "passages", 4)
    with pytest.raises(StageUnavailable, match="Qdrant server"):
        await store.documents("default", ())
    await store.close()


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
async def test_a_document_is_replaced_by_one_request(monkeypatch: pytest.MonkeyPatch) -> None:
    client = AsyncQdrantClient(":memory:")
    store = QdrantStore(client, "passages", 4)
    sent: list[str] = []
    for name in ("upsert", "delete", "batch_update_points"):
        monkeypatch.setattr(client, name, recording(sent, name, getattr(client, name)))
    for text, passages in (("old", 3), ("new", 1)):
        found = [Passage(f"a:{n}", "a", f"{text} {n}", "A") for n in range(passages)]
        await store.write([Entry(passage, VECTOR, document_vector(passage.text)) for passage in found])
    assert sent == ["batch_update_points"] * 2
    assert [entry.passage.text async for page in store.export() for entry in page] == ["new 0"]
    await store.close()


def recording(sent: list[str], name: str, call: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    def recorded(*args: Any, **kwargs: Any) -> Awaitable[Any]:
        sent.append(name)
        return call(*args, **kwargs)

    return recorded


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
async def test_a_collection_of_another_embedder_is_refused_by_name() -> None:
    client = AsyncQdrantClient(":memory:")
    await client.create_collection(
        "passages", vectors_config={"dense": models.VectorParams(size=4, distance=models.Distance.COSINE)}
    )
    store = QdrantStore(client, "passages", 8)
    with pytest.raises(StoreMismatch, match="4 dimensions and the embedder makes 8"):
        await store.documents("default", ())
    await store.close()
