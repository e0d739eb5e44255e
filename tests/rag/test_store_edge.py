"""Qdrant Edge alone: what is on disk stays, one process at a time, and the event loop is never held."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rag.sparse import document_vector, query_vector
from rag.store import Entry, StoreConfig, StoreLocked, StoreMismatch, open_store
from rag.types import Passage

PASSAGE = Passage("a:0", "a", "Replicas scale on ongoing requests.", "A")
ENTRY = Entry(PASSAGE, np.eye(4, dtype=np.float32)[0], document_vector(PASSAGE.text))


async def test_documents_stay_after_a_restart(tmp_path: Path) -> None:
    config = StoreConfig(path=tmp_path / "new" / "index")
    store = open_store(config, 4)
    await store.write([ENTRY])
    await store.close()
    store = open_store(config, 4)
    dense, sparse = await store.search(ENTRY.vector, query_vector("replicas"), 3, "default")
    assert [hit.passage for hit in (*dense, *sparse)] == [PASSAGE, PASSAGE]
    await store.close()


async def test_documents_stay_after_a_kill(tmp_path: Path) -> None:
    program = (
        "import asyncio, os, sys; from pathlib import Path; from tests.rag.test_store_edge import ENTRY;"
        "from rag.store import StoreConfig, open_store;"
        "store = open_store(StoreConfig(path=Path(sys.argv[1])), 4);"
        "asyncio.run(store.write([ENTRY])); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    store = open_store(StoreConfig(path=tmp_path), 4)
    assert [info.id for info in await store.documents("default")] == ["a"]
    await store.close()


async def test_a_second_opener_is_told_what_to_do(tmp_path: Path) -> None:
    store = open_store(StoreConfig(path=tmp_path), 4)
    with pytest.raises(StoreLocked, match="POST /v1/documents"):
        open_store(StoreConfig(path=tmp_path), 4)
    await store.close()
    await open_store(StoreConfig(path=tmp_path), 4).close()


async def test_another_embedder_is_refused_by_name(tmp_path: Path) -> None:
    await open_store(StoreConfig(path=tmp_path), 4).close()
    with pytest.raises(StoreMismatch, match="4 dimensions and the embedder makes 8"):
        open_store(StoreConfig(path=tmp_path), 8)
    await open_store(StoreConfig(path=tmp_path), 4).close()


async def test_a_half_made_index_is_made_again(tmp_path: Path) -> None:
    store = open_store(StoreConfig(path=tmp_path), 4)
    await store.write([ENTRY])
    await store.close()
    (tmp_path / "index.json").unlink()
    store = open_store(StoreConfig(path=tmp_path), 4)
    assert await store.documents("default") == []
    await store.close()


async def test_the_event_loop_runs_on_while_the_engine_works(tmp_path: Path) -> None:
    store = open_store(StoreConfig(path=tmp_path), 4)
    busy = store._run(lambda: time.sleep(0.3))  # type: ignore[attr-defined]
    ticks = 0
    task = asyncio.ensure_future(busy)
    while not task.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > 3
    await store.close()
