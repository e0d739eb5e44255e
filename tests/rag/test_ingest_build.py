"""Which passages of an index version's parts are indexed, and which only repeat another."""

from pathlib import Path

import numpy as np
import pytest

from rag.duplicates import signature
from rag.ingest_build import Plan, load, plan
from rag.parts import PartWriter, row
from rag.scope import Scope
from rag.sparse import SparseVector
from rag.store import FakeStore
from rag.types import Filter, Passage

TEXT = "Every employee has 28 days of leave a year."


def planned(folder: Path, *passages: Passage) -> Plan:
    """What is decided on these passages, each of a document and an item of its own."""
    (folder / "passages").mkdir()
    writer = PartWriter(folder / "passages", 4)
    for passage in passages:
        found = signature(passage.text)
        sides = {"same": found.same, "near": found.near, "indices": [], "values": [], "scores": "{}"}
        vector = np.zeros(4, np.float32)
        writer.add([row(passage, (passage.document_id, "hash")) | sides | {"vector": vector}], {})
    writer.flush()
    return plan(folder, {passage.document_id: "hash" for passage in passages})


def made(name: str, metadata: dict[str, str], title: str = "", groups: tuple[str, ...] = ()) -> Passage:
    return Passage(f"{name}:0", name, TEXT, title, f"/{name}", metadata=metadata, groups=groups)


def test_boilerplate_under_two_titles_is_indexed_once(tmp_path: Path) -> None:
    known = {"source": "s", "tags": "x", "date": "2026-05-01"}
    found = planned(tmp_path, made("a", known | {"n": "1"}, "One"), made("b", known | {"n": "2"}, "Two"))
    assert (found.passages, found.duplicates, found.documents) == (1, 1, 2)
    assert [[row["url"] for row in rows] for rows in found.repeats.values()] == [["/b"]]


@pytest.mark.parametrize(
    ("metadata", "groups", "passages"),
    [
        ({"source": "other", "tags": "y,x", "date": "2026-05-02"}, (), 1),
        ({}, ("staff",), 2),
    ],
)
def test_only_other_readers_keep_a_repetition(
    tmp_path: Path, metadata: dict[str, str], groups: tuple[str, ...], passages: int
) -> None:
    known = {"source": "s", "tags": "x", "date": "2026-05-01"}
    found = planned(tmp_path, made("a", known), made("b", known | metadata, groups=groups))
    assert (found.passages, found.duplicates) == (passages, 2 - passages)


async def test_every_filter_finds_a_passage_by_those_it_stands_for(tmp_path: Path) -> None:
    one, two = {"source": "s", "tags": "x"}, {"source": "t", "tags": "y, z", "date": "2026-05-02"}
    store = FakeStore()
    await load(planned(tmp_path, made("a", one), made("b", two), made("c", two)), store)
    for wanted, passages in (
        (Filter(source=("s",)), 1),
        (Filter(source=("t",)), 1),
        (Filter(tag=("x",)), 1),
        (Filter(tag=("z",)), 1),
        (Filter(since="2026-05-02", until="2026-05-02"), 1),
        (Filter(source=("u",)), 0),
        (Filter(since="2026-05-03"), 0),
    ):
        found, _ = await store.search(np.zeros(4, np.float32), SparseVector(), 9, Scope("default", (), wanted))
        assert len(found) == passages
    [kept] = await store.fetch(list(store.points))
    assert (kept.also, kept.metadata) == (("/b", "/c"), one)
