"""Token vectors beside an index version's Parquet parts: the ingest job makes them by the forward pass it needs anyway.

One Arrow file a part, `<part>.tokens`; the reranker maps them into memory. They only save time: a passage without one
is embedded when the reranker first meets it.
"""

import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rag.collection import Collection
from rag.tokens import PackedTokens

SUFFIX = ".tokens"
SCHEMA = pa.schema({"key": pa.binary(16), "vectors": pa.binary(), "scales": pa.binary(), "spans": pa.binary()})
REFRESH_S = 2.0
"""How often a reader looks for another serving version."""


def beside(part: Path) -> Path:
    """The token file of a part."""
    return part.with_suffix(SUFFIX)


def token_bytes(version: Path) -> int:
    """Bytes of all token files in a version's folder."""
    return sum(path.stat().st_size for path in (version / "passages").glob(f"*{SUFFIX}"))


def save_tokens(tokens: Mapping[bytes, PackedTokens], part: Path) -> None:
    """Write the token file of a part, on disk whole before it has its name. A text without tokens needs no place."""
    kept = {key: one for key, one in tokens.items() if len(one.scales)}
    columns = [column([getattr(one, name) for one in kept.values()]) for name in ("vectors", "scales", "spans")]
    batch = pa.record_batch([pa.array(list(kept), SCHEMA.field("key").type), *columns], schema=SCHEMA)
    unfinished = part.with_suffix(".unfinished")
    with unfinished.open("wb") as file:
        with pa.ipc.new_file(file, SCHEMA) as writer:
            writer.write_batch(batch)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(beside(part))


def column(arrays: Sequence[np.ndarray[Any, Any]]) -> pa.BinaryArray:
    """The bytes of each array, copied once. Raises pyarrow.ArrowInvalid over 2 GiB, which its offsets cannot hold."""
    offsets = pa.array(np.cumsum([0, *(one.nbytes for one in arrays)])).cast(pa.int32())
    return pa.Array.from_buffers(
        pa.binary(), len(arrays), [None, offsets.buffers()[1], pa.py_buffer(b"".join(a.data for a in arrays))]
    )


class TokenFiles:
    """Reads the serving version's token files, and follows when another version serves. Safe to call from threads."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._version = ""
        self._looked = -REFRESH_S
        self._batches: list[pa.RecordBatch] = []
        self._places: dict[bytes, tuple[int, int]] = {}

    def get(self, key: bytes) -> PackedTokens | None:
        """The token vectors of the text that `key` stands for, if its part has them."""
        with self._lock:
            self._follow()
            if key not in self._places:
                return None
            file, row = self._places[key]
            batch = self._batches[file]
        vectors, scales, spans = (batch.column(name)[row].as_buffer() for name in ("vectors", "scales", "spans"))
        scale = np.frombuffer(scales, np.float32)
        packed = np.frombuffer(vectors, np.int8).reshape(len(scale), -1)
        return PackedTokens(packed, scale, np.frombuffer(spans, np.int32).reshape(-1, 2))

    def _follow(self) -> None:
        if time.monotonic() - self._looked < REFRESH_S:
            return
        self._looked = time.monotonic()
        version = self._collection.current()
        if version == self._version:
            return
        paths = sorted((self._collection.folder(version) / "passages").glob(f"*{SUFFIX}")) if version else []
        self._batches = [pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0) for path in paths]
        self._places = {
            key: (file, row)
            for file, batch in enumerate(self._batches)
            for row, key in enumerate(batch.column("key").to_pylist())
        }
        self._version = version
