"""The Store role: one contract for the fake, Qdrant Edge and a Qdrant server (the client's own memory)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from qdrant_client import AsyncQdrantClient

from rag import store as store_module
from rag import store_edge, store_qdrant
from rag.errors import InvalidInput
from rag.payload import payloads, point_id, to_passage
from rag.scope import Scope
from rag.sparse import document_vector, query_vector
from rag.store import Entry, FakeStore, Store, StoreConfig, open_store
from rag.store_qdrant import QdrantStore
from rag.types import Filter, Passage, Vector

DIMENSIONS = 8
DEFAULT = Scope("default", ())
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
                scores={"fake-1": 0.25},
            ),
            axis(n + (0 if document == "scaling" else 3)),
            document_vector(text),
        )
        for n, text in enumerate(TEXTS[document] if texts is None else texts)
    ]


async def found(
    store: Store, vector: Vector, question: str, limit: int = 10, scope: Scope = DEFAULT
) -> tuple[list[tuple[Passage, float]], list[tuple[Passage, float]]]:
    """Both sides of a search, with their passages."""
    sides = await store.search(vector, query_vector(question), limit, scope)
    dense, sparse = [list(zip(await store.fetch(list(side)), side.values(), strict=True)) for side in sides]
    return dense, sparse


@pytest.fixture(params=["fake", "edge", "server"])
async def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Store]:
    """Each kind, with pages so small that a few passages take several."""
    for module in (store_module, store_edge, store_qdrant):
        monkeypatch.setattr(module, "PAGE", 2)
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
    dense, sparse = await found(store, axis(1), "replicas")
    assert dense[0][0] == written[1].passage
    assert dense[0][1] == pytest.approx(1, abs=1e-4)
    assert [passage for passage, _ in sparse] == [written[0].passage]


async def test_bm25_weighs_rare_terms_and_skips_what_shares_none(store: Store) -> None:
    await store.write(entries("fruit"))
    _, sparse = await found(store, axis(0), "yellow bananas")
    assert [passage.id for passage, _ in sparse] == ["fruit:0", "fruit:2"]
    idf = [np.log1p((3 - n + 0.5) / (n + 0.5)) for n in (2, 1)]
    weights = dict(zip(*_terms("Bananas are yellow."), strict=True))
    expected = sum(i * weights[t] for i, t in zip(idf, query_vector("bananas yellow").indices, strict=True))
    assert sparse[0][1] == pytest.approx(expected, rel=1e-3)


def _terms(text: str) -> tuple[tuple[int, ...], tuple[float, ...]]:
    vector = document_vector(text)
    return vector.indices, vector.values


async def test_a_question_without_terms_still_searches_dense(store: Store) -> None:
    await store.write(entries("fruit"))
    dense, sparse = await found(store, axis(3), "what is the", 2)
    assert len(dense) == 2
    assert sparse == []


async def test_writing_replaces_the_whole_document_and_no_other(store: Store) -> None:
    await store.write([*entries("scaling"), *entries("fruit")])
    await store.write(entries("fruit", texts=["Cherries are red."]))
    assert [(info.id, info.passages) for info in await store.documents("default")] == [("fruit", 1), ("scaling", 2)]
    dense, sparse = await found(store, axis(3), "bananas")
    assert {passage.text for passage, _ in dense} == {"Cherries are red.", *TEXTS["scaling"]}
    assert sparse == []


async def test_tenants_never_meet(store: Store) -> None:
    await store.write(entries("fruit", "acme"))
    await store.write(entries("fruit", "globex", texts=["Bananas are blue."]))
    dense, sparse = await found(store, axis(3), "bananas", scope=Scope("globex"))
    assert [passage.text for passage, _ in (*dense, *sparse)] == ["Bananas are blue."] * 2
    assert [info.passages for info in await store.documents("acme")] == [3]
    assert not await store.delete("fruit", "initech")
    assert await store.delete("fruit", "globex")
    assert [info.id for info in await store.documents("acme")] == ["fruit"]


async def test_delete_says_whether_there_was_one(store: Store) -> None:
    await store.write([*entries("scaling"), *entries("fruit")])
    assert await store.delete("fruit", "default")
    assert not await store.delete("fruit", "default")
    dense, _ = await found(store, axis(3), "")
    assert {passage.document_id for passage, _ in dense} == {"scaling"}


async def test_documents_are_listed_with_their_own_url(store: Store) -> None:
    await store.write([*entries("scaling"), *entries("fruit")])
    listed = await store.documents("default")
    assert [(info.id, info.title, info.url, info.passages) for info in listed] == [
        ("fruit", "Fruit", "/fruit", 3),
        ("scaling", "Scaling", "/scaling", 2),
    ]
    assert listed[0].metadata == {"team": "serving"}


async def test_empty_store_answers(store: Store) -> None:
    assert await found(store, axis(0), "anything") == ([], [])
    assert await store.documents("default") == []


async def test_concurrent_calls(store: Store) -> None:
    await asyncio.gather(*(store.write(entries("fruit", f"t{n}")) for n in range(4)))
    sides = await asyncio.gather(*(found(store, axis(4), "apples", 1, Scope(f"t{n}")) for n in range(4)))
    assert [dense[0][0].tenant for dense, _ in sides] == ["t0", "t1", "t2", "t3"]


async def test_the_idf_counts_the_own_tenant_only(store: Store) -> None:
    await store.write(entries("fruit", "acme"))
    _, alone = await found(store, axis(0), "yellow bananas", scope=Scope("acme"))
    _, again = await found(store, axis(0), "yellow bananas", scope=Scope("acme"))
    await store.write(entries("fruit", "globex", texts=["Bananas are blue."] * 5))
    _, beside = await found(store, axis(0), "yellow bananas", scope=Scope("acme"))
    for other in (again, beside):
        assert [(p, pytest.approx(score, rel=1e-4)) for p, score in other] == alone


@pytest.mark.parametrize(
    "question", ["the of and", "🚀🚀 ✨", "wie skaliert das? どうやって", "replicas " * 1_200, "\0", ""]
)
async def test_any_question_gets_an_answer(store: Store, question: str) -> None:
    await store.write(entries("scaling"))
    dense, _ = await found(store, axis(0), question)
    assert len(dense) == 2


async def test_groups_hide_documents(store: Store) -> None:
    def grouped(document: str, *groups: str) -> list[Entry]:
        return [replace(e, passage=replace(e.passage, groups=groups)) for e in entries(document)]

    await store.write([*grouped("scaling"), *grouped("fruit", "ops", "dev")])
    for groups, listed in (((), ["scaling"]), (("hr",), ["scaling"]), (("hr", "dev"), ["fruit", "scaling"])):
        assert [info.id for info in await store.documents("default", groups)] == listed
    assert await store.hidden(["scaling", "fruit", "no"], "default", ("hr",)) == ["fruit"]
    assert await store.hidden(["scaling", "fruit", "no"], "acme", ("hr",)) == []
    assert not await store.delete("fruit", "default", ("hr",))
    assert await store.delete("fruit", "default", ("ops",))


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        (Filter(source=("wiki",)), "ab"),
        (Filter(source=("wiki", "mail")), "abc"),
        (Filter(tag=("faq",)), "ac"),
        (Filter(source=("wiki",), tag=("faq", "none")), "a"),
        (Filter(since="2026-03-01"), "bc"),
        (Filter(until="2026-03-01"), "ab"),
        (Filter(since="2026-03-01", until="2026-03-01"), "b"),
        (Filter(since="2026-03-01T13:00:00+01:00", until="2026-03-01T12:00:00Z"), "b"),
        (Filter(since="2027-01-02"), ""),
        (Filter(tag=("",)), ""),
    ],
)
async def test_filters_narrow_both_sides(store: Store, wanted: Filter, names: str) -> None:
    about = {
        "a": {"source": "wiki", "tags": "faq, how-to", "date": "2026-01-31"},
        "b": {"source": "wiki", "tags": "news", "date": "2026-03-01T12:00:00"},
        "c": {"source": "mail", "tags": "old,faq", "date": "2026-12-31T23:59:00-05:00"},
        "d": {"date": "yesterday", "tags": " , "},
    }
    await store.write(
        [
            Entry(Passage(name, name, "replicas", metadata=given), axis(n), document_vector("replicas"))
            for n, (name, given) in enumerate(about.items())
        ]
    )
    for side in await found(store, axis(0), "replicas", scope=Scope("default", (), wanted)):
        assert sorted(passage.id for passage, _ in side) == list(names)


@pytest.mark.parametrize(
    ("wanted", "found_it"),
    [
        (Filter(source=("wiki",)), True),
        (Filter(source=("mail",)), True),
        (Filter(tag=("old",)), True),
        (Filter(since="2026-03-01", until="2026-03-01"), True),
        (Filter(since="2026-01-01", until="2026-01-31"), True),
        (Filter(since="2026-02-01", until="2026-02-28"), False),
        (Filter(source=("web",)), False),
    ],
)
async def test_filters_find_a_passage_by_those_it_stands_for(store: Store, wanted: Filter, found_it: bool) -> None:
    others = {"source": ("mail",), "tags": ("old",), "date": ("2026-03-01T00:00:00+00:00",)}
    passage = Passage("a", "a", "replicas", metadata={"source": "wiki", "date": "2026-01-31"}, also_marks=others)
    await store.write([Entry(passage, axis(0), document_vector("replicas"))])
    dense, sparse = await found(store, axis(0), "replicas", scope=Scope("default", (), wanted))
    assert [one for one, _ in dense] == [one for one, _ in sparse] == ([passage] if found_it else [])


async def test_a_filter_without_a_date_is_refused_by_name(store: Store) -> None:
    await store.write(entries("scaling"))
    with pytest.raises(InvalidInput) as caught:
        await found(store, axis(0), "replicas", scope=Scope("default", (), Filter(until="soon")))
    assert caught.value.param == "filter.date.lte"


async def test_a_bulk_load_is_found_and_exported_whole(store: Store) -> None:
    loaded, uploaded = entries("fruit", "acme"), entries("scaling")
    full = replace(uploaded[0].passage, groups=("ops", "dev"), also=("/copy",), metadata={"origin": "api", "x": "é"})
    uploaded = [replace(uploaded[0], passage=full)]
    await store.write(loaded, settle=False)
    await store.write([*uploaded, Entry(Passage("e:0", "e", "", ""), axis(7), document_vector(""))], settle=False)
    await store.settle()
    everything = {entry.passage.id: entry async for page in store.export() for entry in page}
    assert {e.passage.id for e in loaded} | {"scaling:0", "e:0"} == set(everything)
    held = everything["scaling:0"]
    assert held.passage == full
    assert np.allclose(held.vector, axis(0))
    assert dict(zip(held.sparse.indices, held.sparse.values, strict=True)) == pytest.approx(
        dict(zip(uploaded[0].sparse.indices, uploaded[0].sparse.values, strict=True))
    )
    assert [e.passage async for page in store.export("api") for e in page] == [full]
    assert [e async for page in store.export("elsewhere") for e in page] == []


async def test_what_takes_several_pages_is_written_listed_and_exported_whole(store: Store) -> None:
    names = [f"d{n}" for n in range(5)]
    written = [entry for name in names for entry in entries(name, texts=[f"{name} {n}" for n in range(3)])]
    await store.write([replace(e, passage=replace(e.passage, groups=("ops",))) for e in written])
    exported = [entry.passage.id async for page in store.export() for entry in page]
    assert sorted(exported) == sorted(entry.passage.id for entry in written)
    assert [(info.id, info.passages) for info in await store.documents("default")] == [(name, 3) for name in names]
    assert await store.hidden(names, "default", ("hr",)) == names


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
