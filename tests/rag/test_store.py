"""The Store role: one contract for the fake, Qdrant Edge and a Qdrant server (the client's own memory)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from qdrant_client import AsyncQdrantClient

from rag.sparse import document_vector, query_vector
from rag.store import Entry, FakeStore, Store, StoreConfig, open_store, payloads, point_id, to_passage
from rag.store_qdrant import QdrantStore
from rag.types import Passage, Vector

DIMENSIONS = 8
TEXTS = {
    "scaling": ["Replicas scale on ongoing requests.", "The autoscaler adds a node."],
    "fruit": ["Bananas are yellow.", "Apples keep well.", "Bananas and apples make a salad."],
}

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")


def axis(n: int) -> Vector:
    return np.eye(DIMENSIONS, dtype=np.float32)[n]


def entries(document: str, tenant: str = "default", texts: list[str] | None = None) -> list[Entry]:
    """A document's passages, each on an axis of its own."""
    return [
        Entry(
            Passage(
                f"{document}:{n}",
                document,
                text,
                document.title(),
                f"/{document}#part-{n}",
                ("Guide", f"Part {n}"),
                n * 100,
                n * 100 + len(text),
                {"team": "serving"},
                tenant,
            ),
            axis(n + (0 if document == "scaling" else 3)),
            document_vector(text),
        )
        for n, text in enumerate(TEXTS[document] if texts is None else texts)
    ]


@pytest.fixture(params=["fake", "edge", "server"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    made: Store
    if request.param == "fake":
        made = FakeStore()
    elif request.param == "edge":
        made = open_store(StoreConfig(path=tmp_path / "index"), DIMENSIONS)
    else:
        made = QdrantStore(AsyncQdrantClient(":memory:"), "passages", DIMENSIONS)
    yield made
    await made.close()


async def test_what_is_written_is_found_whole(store: Store) -> None:
    written = entries("scaling")
    await store.write(written)
    dense, sparse = await store.search(axis(1), query_vector("replicas"), 10, "default")
    assert dense[0].passage == written[1].passage
    assert dense[0].score == pytest.approx(1, abs=1e-4)
    assert [hit.passage for hit in sparse] == [written[0].passage]


async def test_bm25_weighs_rare_terms_and_skips_what_shares_none(store: Store) -> None:
    await store.write(entries("fruit"))
    _, sparse = await store.search(axis(0), query_vector("yellow bananas"), 10, "default")
    assert [hit.passage.id for hit in sparse] == ["fruit:0", "fruit:2"]
    idf = [np.log1p((3 - n + 0.5) / (n + 0.5)) for n in (2, 1)]
    weights = dict(zip(*_terms("Bananas are yellow."), strict=True))
    expected = sum(i * weights[t] for i, t in zip(idf, query_vector("bananas yellow").indices, strict=True))
    assert sparse[0].score == pytest.approx(expected, rel=1e-3)


def _terms(text: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    vector = document_vector(text)
    return vector.indices, vector.values


async def test_a_question_without_terms_still_searches_dense(store: Store) -> None:
    await store.write(entries("fruit"))
    dense, sparse = await store.search(axis(3), query_vector("what is the"), 2, "default")
    assert len(dense) == 2
    assert sparse == []


async def test_writing_replaces_the_whole_document_and_no_other(store: Store) -> None:
    await store.write([*entries("scaling"), *entries("fruit")])
    await store.write(entries("fruit", texts=["Cherries are red."]))
    assert [(info.id, info.passages) for info in await store.documents("default")] == [("fruit", 1), ("scaling", 2)]
    dense, sparse = await store.search(axis(3), query_vector("bananas"), 10, "default")
    assert {hit.passage.text for hit in dense} == {"Cherries are red.", *TEXTS["scaling"]}
    assert sparse == []


async def test_tenants_never_meet(store: Store) -> None:
    await store.write(entries("fruit", "acme"))
    await store.write(entries("fruit", "globex", texts=["Bananas are blue."]))
    dense, sparse = await store.search(axis(3), query_vector("bananas"), 10, "globex")
    assert [hit.passage.text for hit in (*dense, *sparse)] == ["Bananas are blue."] * 2
    assert [info.passages for info in await store.documents("acme")] == [3]
    assert not await store.delete("fruit", "initech")
    assert await store.delete("fruit", "globex")
    assert [info.id for info in await store.documents("acme")] == ["fruit"]


async def test_delete_says_whether_there_was_one(store: Store) -> None:
    await store.write([*entries("scaling"), *entries("fruit")])
    assert await store.delete("fruit", "default")
    assert not await store.delete("fruit", "default")
    dense, _ = await store.search(axis(3), query_vector(""), 10, "default")
    assert {hit.passage.document_id for hit in dense} == {"scaling"}


async def test_documents_are_listed_with_their_own_url(store: Store) -> None:
    await store.write([*entries("scaling"), *entries("fruit")])
    listed = await store.documents("default")
    assert [(info.id, info.title, info.url, info.passages) for info in listed] == [
        ("fruit", "Fruit", "/fruit", 3),
        ("scaling", "Scaling", "/scaling", 2),
    ]
    assert listed[0].metadata == {"team": "serving"}


async def test_empty_store_answers(store: Store) -> None:
    assert await store.search(axis(0), query_vector("anything"), 5, "default") == ([], [])
    assert await store.documents("default") == []


async def test_concurrent_calls(store: Store) -> None:
    await asyncio.gather(*(store.write(entries("fruit", f"t{n}")) for n in range(4)))
    found = await asyncio.gather(*(store.search(axis(4), query_vector("apples"), 1, f"t{n}") for n in range(4)))
    assert [hits[0].passage.tenant for hits, _ in found] == ["t0", "t1", "t2", "t3"]


async def test_a_bulk_load_is_found_and_exported_whole(store: Store) -> None:
    loaded, uploaded = entries("fruit", "acme"), entries("scaling")
    full = replace(uploaded[0].passage, groups=("ops", "dev"), also=("/copy",), metadata={"origin": "api", "x": "é"})
    uploaded = [replace(uploaded[0], passage=full)]
    await store.write(loaded, settle=False)
    await store.write([*uploaded, Entry(Passage("e:0", "e", "", ""), axis(7), document_vector(""))], settle=False)
    await store.settle()
    everything = {entry.passage.id: entry async for page in store.export() for entry in page}
    assert {e.passage.id for e in loaded} | {"scaling:0", "e:0"} == set(everything)
    found = everything["scaling:0"]
    assert found.passage == full
    assert np.allclose(found.vector, axis(0))
    assert dict(zip(found.sparse.indices, found.sparse.values, strict=True)) == pytest.approx(
        dict(zip(uploaded[0].sparse.indices, uploaded[0].sparse.values, strict=True))
    )
    assert [e.passage async for page in store.export("api") for e in page] == [full]
    assert [e async for page in store.export("elsewhere") for e in page] == []


def test_payload_round_trip_and_ids() -> None:
    passage = entries("fruit")[1].passage
    [payload] = payloads([passage])
    assert to_passage(payload) == passage
    assert point_id(passage) == point_id(replace(passage, text="other"))
    assert point_id(passage) != point_id(replace(passage, tenant="acme"))


def test_a_server_needs_a_url_and_its_key_stays_secret() -> None:
    with pytest.raises(ValidationError, match="url"):
        StoreConfig(kind="server")
    config = StoreConfig(kind="server", url="http://qdrant:6333", api_key="s3cret")
    assert "s3cret" not in repr(config)
    assert "s3cret" not in config.model_dump_json()
