"""The files of an embedded index: made, locked, checked and opened."""

import fcntl
import json
import shutil
from pathlib import Path
from typing import TextIO

import qdrant_edge as edge

from rag.payload import KEYWORDS
from rag.store import IndexConfig, StoreLocked, StoreMismatch

DENSE = "dense"
SPARSE = "sparse"
FORMAT = 2
"""Of the payload that searches rely on; 2 has its readers."""
FULL_SCAN_KB = 10_000
"""Below it a filtered search looks at every vector: the engine's own default."""


def open_shard(path: Path, dimensions: int, config: IndexConfig) -> tuple[edge.EdgeShard, TextIO]:
    """The shard in `path`, and the lock on `path/lock` that goes with it."""
    path.mkdir(parents=True, exist_ok=True)
    lock = (path / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return load_shard(path, dimensions, config), lock
    except BlockingIOError as error:
        lock.close()
        raise StoreLocked(
            f"the index {path} is open in another process: one Retriever at a time may serve it, so stop the other "
            "application, or give the Retriever one replica and no surge",
            "path",
        ) from error
    except BaseException:
        lock.close()
        raise


def load_shard(path: Path, dimensions: int, config: IndexConfig) -> edge.EdgeShard:
    """Load the shard in `path/edge`, or make it: `path/index.json`, written last, says that it was made whole."""
    made = path / "index.json"
    if not made.exists():
        shutil.rmtree(path / "edge", ignore_errors=True)
        shard = make_shard(path / "edge", dimensions, config)
        made.write_text(json.dumps({"dimensions": dimensions, "format": FORMAT}))
        return shard
    told = json.loads(made.read_text())
    if told.get("format") != FORMAT:
        raise StoreMismatch(
            f"the index {path} was made by another release, whose searches were others: remove the folder and build it "
            "again",
            "store.path",
        )
    size = told["dimensions"]
    if size != dimensions:
        raise StoreMismatch(
            f"the index {path} holds vectors of {size} dimensions and the embedder makes {dimensions}: "
            "configure the embedder that built the index, or remove the folder and build it again",
            "embed.model",
        )
    return edge.EdgeShard.load(str(path / "edge"))


def make_shard(path: Path, dimensions: int, config: IndexConfig) -> edge.EdgeShard:
    """An empty shard with the indexes that the filters use."""
    path.mkdir()
    shard = edge.EdgeShard.create(str(path), shard_config(dimensions, config))
    index = edge.UpdateOperation.create_field_index
    shard.update(index("tenant", edge.KeywordIndexParams(is_tenant=True)))
    for name in KEYWORDS:
        shard.update(index(name, edge.PayloadSchemaType.Keyword))
    shard.update(index("date", edge.PayloadSchemaType.Datetime))
    shard.update(index("position", edge.PayloadSchemaType.Integer))
    shard.flush()
    return shard


def shard_config(dimensions: int, config: IndexConfig) -> edge.EdgeConfig:
    """The engine's configuration.

    Payload is mapped and read ahead unless `on_disk`: first touches cost some 2 of 6 ms a search at 100,000
    passages.
    """
    pinned = edge.Memory.Pinned
    scalar = edge.ScalarQuantizationConfig(edge.ScalarType.Int8, quantile=0.99, memory=pinned)
    memory = edge.Memory.Cold if config.on_disk else edge.Memory.Cached
    return edge.EdgeConfig(
        vectors={DENSE: edge.EdgeVectorParams(size=dimensions, distance=edge.Distance.Cosine, memory=memory)},
        sparse_vectors={SPARSE: edge.EdgeSparseVectorParams(modifier=edge.Modifier.Idf)},
        hnsw_config=edge.HnswIndexConfig(config.hnsw_m, config.ef_construct, FULL_SCAN_KB),
        payload_memory=memory,
        quantization_config=scalar if config.quantization == "scalar" else None,
    )
