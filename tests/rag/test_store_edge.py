"""Qdrant Edge alone: what is on disk stays, one process at a time, and the event loop is never held."""

import asyncio
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from rag.scope import Scope
from rag.sparse import document_vector, query_vector
from rag.store import Entry, IndexConfig, StoreConfig, StoreLocked, StoreMismatch, open_store
from rag.types import Passage

PASSAGE = Passage("a:0", "a", "Replicas scale on ongoing requests.", "A")
ENTRY = Entry(PASSAGE, np.eye(4, dtype=np.float32)[0], document_vector(PASSAGE.text))


async def test_documents_stay_after_a_restart(tmp_path: Path) -> None:
    config = StoreConfig(path=tmp_path / "new" / "index")
    store = open_store(config, 4)
    await store.write([ENTRY])
    await store.close()
    store = open_store(config, 4)
    dense, sparse = await store.search(ENTRY.vector, query_vector("replicas"), 3, Scope("default"))
    assert await store.fetch([*dense, *sparse]) == [PASSAGE, PASSAGE]
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


async def test_an_index_of_another_release_is_refused(tmp_path: Path) -> None:
    await open_store(StoreConfig(path=tmp_path), 4).close()
    (tmp_path / "index.json").write_text('{"dimensions": 4}')
    with pytest.raises(StoreMismatch, match="another release"):
        open_store(StoreConfig(path=tmp_path), 4)


async def test_searches_and_the_event_loop_run_on_while_the_index_changes(tmp_path: Path) -> None:
    store = open_store(StoreConfig(path=tmp_path), 4)
    await store.write([ENTRY])
    held = threading.Event()
    busy = asyncio.ensure_future(store._change(held.wait))  # type: ignore[attr-defined]
    for _ in range(5):
        dense, _ = await store.search(ENTRY.vector, query_vector("replicas"), 3, Scope("default"))
        assert len(dense) == 1
    assert not busy.done()
    held.set()
    await busy
    await store.close()


@pytest.mark.parametrize(
    "index",
    [IndexConfig(quantization="scalar"), IndexConfig(on_disk=True), IndexConfig(hnsw_m=8, ef_construct=32, ef=16)],
)
async def test_every_kind_of_index_finds_and_reloads(tmp_path: Path, index: IndexConfig) -> None:
    config = StoreConfig(path=tmp_path, index=index)
    for fresh in (True, False):
        store = open_store(config, 4)
        if fresh:
            await store.write([ENTRY])
        dense, _ = await store.search(ENTRY.vector, query_vector(""), 3, Scope("default"))
        assert list(dense.values()) == pytest.approx([1], abs=1e-3)
        await store.close()
