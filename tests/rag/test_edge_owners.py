"""The owners of an embedded store's passages: learnt ahead, right after changes, bounded."""

import asyncio
from pathlib import Path
from typing import Never

import numpy as np
import pytest

from rag import edge_owners
from rag.payload import point_id
from rag.sparse import document_vector
from rag.store import Entry, Owner
from rag.store_edge import EdgeStore
from rag.types import Passage


def document(name: str, passages: int) -> list[Entry]:
    """A document of so many passages."""
    found = [Passage(f"{name}:{n}", name, f"Passage {n}.") for n in range(passages)]
    return [Entry(passage, np.eye(4, dtype=np.float32)[0], document_vector(passage.text)) for passage in found]


def ids(entries: list[Entry]) -> list[str]:
    return [point_id(entry.passage) for entry in entries]


async def reopened(path: Path, *documents: list[Entry]) -> EdgeStore:
    """A store that holds the documents and has learnt all it can."""
    store = EdgeStore(path, 4)
    for entries in documents:
        await store.write(entries)
    await store.close()
    store = EdgeStore(path, 4)
    await asyncio.to_thread(store._owners._learner.join)
    return store


async def test_all_are_known_before_they_are_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_owners, "PAGE", 2)
    one, two = document("one", 3), document("two", 2)
    store = await reopened(tmp_path, one, two)
    assert len(store._owners._known) == 5
    assert await store.owners([*ids(one), *ids(two), "00000000-0000-0000-0000-000000000000"]) == {
        **dict.fromkeys(ids(one), Owner("one", 3)),
        **dict.fromkeys(ids(two), Owner("two", 2)),
    }
    await store.close()


async def test_a_changed_document_has_its_new_owner(tmp_path: Path) -> None:
    one, two = document("one", 3), document("two", 2)
    store = await reopened(tmp_path, one, two)
    await store.write(document("one", 1))
    assert await store.owners(ids(one)) == {ids(one)[0]: Owner("one", 1)}
    await store.delete("two", "default")
    assert await store.owners(ids(two)) == {}
    await store.close()


class Unwalked(dict[str, Owner]):
    """A dict of which nobody asks for everything."""

    def items(self) -> Never:
        raise AssertionError("all remembered passages were walked through")

    __iter__ = keys = values = copy = items  # type: ignore[assignment]


async def test_a_change_costs_by_the_documents_it_changes(tmp_path: Path) -> None:
    one, two = document("one", 3), document("two", 2)
    store = await reopened(tmp_path, one, two)
    store._owners._known = Unwalked(store._owners._known)
    store._owners.forget({"one", "unknown"})
    assert len(store._owners._known) == 2
    assert await store.owners([*ids(one), *ids(two)]) == {
        **dict.fromkeys(ids(one), Owner("one", 3)),
        **dict.fromkeys(ids(two), Owner("two", 2)),
    }
    store._owners.forget({"one", "two"})
    assert not store._owners._known
    assert not store._owners._ids
    await store.close()


async def test_no_more_are_remembered_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_owners, "PAGE", 1)
    monkeypatch.setattr(edge_owners, "MOST", 3)
    documents = [document(name, 1) for name in "abcde"]
    store = await reopened(tmp_path, *documents)
    assert len(store._owners._known) == 3
    for entries in documents:
        assert list((await store.owners(ids(entries))).values()) == [Owner(entries[0].passage.document_id, 1)]
        assert len(store._owners._known) <= 3
    await store.close()


async def test_what_was_read_before_a_change_is_not_remembered(tmp_path: Path) -> None:
    one = document("one", 2)
    store = await reopened(tmp_path, one)
    owners = store._owners
    before = owners._changes
    owners.forget({"one"})
    assert not owners._learn({ids(one)[0]: Owner("one", 9)}, before)
    assert (await store.owners(ids(one)))[ids(one)[0]] == Owner("one", 2)
    await store.close()
