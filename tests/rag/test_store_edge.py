"""Qdrant Edge alone: what is on disk stays, one process at a time, and the event loop is never held."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from rag import store_edge
from rag.edge_pending import Pending
from rag.scope import Scope
from rag.sparse import document_vector, query_vector
from rag.store import Entry, IndexConfig, StoreConfig, StoreLocked, StoreMismatch, open_store
from rag.store_edge import EdgeStore
from rag.types import Passage, Vector

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


def version(text: str, passages: int) -> list[Entry]:
    """A document of so many passages, which tell which version of it they are."""
    found = [Passage(f"a:{n}", "a", f"{text} {n}", "A", metadata={"part": f"{n}"}) for n in range(passages)]
    return [
        Entry(passage, np.eye(4, dtype=np.float32)[n], document_vector(passage.text)) for n, passage in enumerate(found)
    ]


class Fatal:
    """A shard whose process is killed before the update after so many."""

    def __init__(self, shard: object, left: int) -> None:
        self.shard = shard
        self.left = left

    def update(self, operation: object) -> None:
        if not self.left:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1
        self.shard.update(operation)  # type: ignore[attr-defined]

    def __getattr__(self, name: str) -> object:
        return getattr(self.shard, name)


def replace_and_be_killed(path: Path, passages: int, updates: int) -> None:
    store_edge.PAGE = 1  # type: ignore[misc]
    store = EdgeStore(path, 4)
    store._shard = Fatal(store._shard, updates)  # type: ignore[assignment]
    asyncio.run(store.write(version("new", passages)))


@pytest.mark.parametrize(("passages", "updates"), [(1, 0), (1, 1), (2, 1), (2, 2), (4, 2)])
async def test_a_kill_while_a_document_is_replaced_leaves_no_mixture(
    tmp_path: Path, passages: int, updates: int
) -> None:
    store = EdgeStore(tmp_path, 4)
    await store.write(version("old", 2))
    await store.close()
    program = (
        "import sys; from pathlib import Path; from tests.rag.test_store_edge import replace_and_be_killed;"
        "replace_and_be_killed(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path), str(passages), str(updates)]
    done = subprocess.run(arguments, check=False, capture_output=True)
    assert done.returncode == -9, done.stderr
    for _ in range(2):
        store = EdgeStore(tmp_path, 4)
        found = {entry.passage.text: entry async for page in store.export() for entry in page}
        assert set(found) == {f"new {n}" for n in range(passages)}
        assert [info.passages for info in await store.documents("default")] == [passages]
        for entry in version("new", passages):
            same = found[entry.passage.text]
            assert same.passage == entry.passage
            assert np.array_equal(same.vector, entry.vector)
        _, old = await store.search(ENTRY.vector, query_vector("old"), 9, Scope("default"))
        assert old == {}
        await store.close()


async def test_a_change_that_failed_is_finished_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = EdgeStore(tmp_path, 4)
    await store.write(version("old", 2))
    with monkeypatch.context() as patch:
        patch.setattr(store, "_settle", lambda: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await store.write(version("new", 1))
    assert await store.delete("a", "default")
    await store.close()
    store = EdgeStore(tmp_path, 4)
    assert await store.documents("default") == []
    await store.close()


@pytest.mark.parametrize("vector", [np.ones(4, np.float32), np.ones(5, np.float32)])
async def test_what_the_engine_cannot_keep_is_not_tried_again(tmp_path: Path, vector: Vector) -> None:
    store = EdgeStore(tmp_path, 4)
    text = "\ud800" if len(vector) == 4 else "x"
    with pytest.raises((TypeError, ValueError)):
        await store.write([Entry(Passage("b:0", "b", text), vector, document_vector(text))])
    await store.write([ENTRY])
    await store.close()
    store = EdgeStore(tmp_path, 4)
    assert [info.id for info in await store.documents("default")] == ["a"]
    await store.close()


async def test_an_index_that_cannot_be_made_good_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await EdgeStore(tmp_path, 4).close()
    Pending(tmp_path).save([ENTRY])
    with monkeypatch.context() as patch:
        patch.setattr(EdgeStore, "_settle", lambda self: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            EdgeStore(tmp_path, 4)
    store = EdgeStore(tmp_path, 4)
    assert [info.id for info in await store.documents("default")] == ["a"]
    await store.close()


async def test_a_second_opener_is_told_what_to_do(tmp_path: Path) -> None:
    store = open_store(StoreConfig(path=tmp_path), 4)
    with pytest.raises(StoreLocked, match="one Retriever at a time"):
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
