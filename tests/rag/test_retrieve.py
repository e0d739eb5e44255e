"""Fusion, the floor under it, and the two roles on a store."""

from collections.abc import Sequence

import numpy as np
import pytest

from rag.embed import SentenceEmbedder
from rag.fakes import FakeEmbedder
from rag.payload import point_id
from rag.retrieve import HybridRetriever, RetrieveConfig, fuse
from rag.scope import Scope
from rag.sparse import query_vector
from rag.store import FakeStore, Scores
from rag.types import Passage, RequestSettings

SETTINGS = RequestSettings("m", "p")
TEXTS = {
    "a": "Replicas scale on ongoing requests.",
    "b": "The autoscaler adds a node when a placement group cannot be scheduled.",
    "c": "Bananas are yellow and rich in potassium.",
}


def passage(name: str) -> Passage:
    return Passage(f"{name}:0", name, TEXTS[name], name.upper())


def test_weights_choose_the_side() -> None:
    dense, sparse = {"a": 0.9, "b": 0.5, "c": 0.1}, {"c": 9.0, "b": 5.0, "a": 1.0}
    one = fuse(dense, sparse, 1.0)
    assert one["a"] > one["b"] > one["c"]
    other = fuse(dense, sparse, 0.0)
    assert other["c"] > other["b"] > other["a"]
    assert list(fuse(dense, sparse, 0.5).values()) == pytest.approx([0, 0, 0], abs=1e-6)


def test_the_missing_side_counts_as_its_lowest() -> None:
    fused = fuse({"a": 0.9, "b": 0.5}, {"c": 9.0, "b": 5.0}, 0.5)
    assert fused["a"] == pytest.approx(fused["c"], abs=1e-6)
    assert fused["b"] < fused["a"]


def test_a_lone_passage_with_the_rare_term_comes_first() -> None:
    dense = {f"near {n}": 0.6 - n / 1000 for n in range(100)}
    for sparse in ({"rare": 7.0}, {"rare": 7.0, "as rare": 7.0}):
        fused = fuse(dense, sparse, 0.5)
        first = sorted(fused, key=lambda key: -fused[key])[: len(sparse)]
        assert set(first) == sparse.keys()


@pytest.mark.parametrize("sides", [({}, {}), ({"a": 0.5}, {}), ({}, {"a": 0.5}), ({"a": 1.0}, {"a": 1.0})])
def test_few_hits_are_no_trouble(sides: tuple[Scores, Scores]) -> None:
    fused = fuse(*sides, 0.5)
    assert fused.keys() == sides[0].keys() | sides[1].keys()
    assert np.isfinite(list(fused.values())).all()


async def test_a_hit_carries_the_raw_scores_of_the_sides_that_found_it() -> None:
    store = FakeStore()
    retriever, embedder = HybridRetriever(store), FakeEmbedder()
    passages = [passage(name) for name in TEXTS]
    await retriever.upsert(passages, await embedder.embed([p.text for p in passages]))
    [vector] = await embedder.embed(["autoscaler node"])
    dense, sparse = await store.search(vector, query_vector("autoscaler"), 10, Scope("default", ()))
    hits = {point_id(h.passage): h for h in await retriever.find(vector, query_vector("autoscaler"), SETTINGS)}
    assert {key: hit.dense for key, hit in hits.items()} == dense
    assert {key: hit.sparse for key, hit in hits.items() if hit.sparse is not None} == sparse
    assert len(sparse) == 1


async def test_both_roles_on_one_store() -> None:
    retriever, embedder = HybridRetriever(FakeStore()), FakeEmbedder()
    passages = [passage(name) for name in TEXTS]
    await retriever.upsert(passages, await embedder.embed([p.text for p in passages]))
    [vector] = await embedder.embed(["autoscaler node"])
    hits = await retriever.retrieve("When does the autoscaler add a node?", vector, SETTINGS)
    assert hits[0].passage == passage("b")
    assert len(await retriever.retrieve("autoscaler", vector, RequestSettings("m", "p", candidates=2))) == 2
    assert await retriever.retrieve("autoscaler", vector, RequestSettings("m", "p", tenant="acme")) == []
    assert [info.id for info in await retriever.documents("default")] == ["a", "b", "c"]
    assert await retriever.delete("b", "default")
    assert len(await retriever.documents("default")) == 2


async def test_one_document_and_one_text_do_not_fill_the_list() -> None:
    retriever, embedder = HybridRetriever(FakeStore()), FakeEmbedder()
    passages = [Passage(f"a:{n}", "a", f"replicas scale {n}") for n in range(6)]
    passages += [Passage(f"{name}:0", name, "replicas scale") for name in "bc"]
    await retriever.upsert(passages, await embedder.embed([p.text for p in passages]))
    [vector] = await embedder.embed(["replicas scale"])
    for per_document, count in ((0, 6), (2, 2), (1, 1)):
        settings = RequestSettings("m", "p", per_document=per_document, candidates=8)
        hits = await retriever.retrieve("replicas scale", vector, settings)
        assert sum(hit.passage.document_id == "a" for hit in hits) == count
        assert sum(hit.passage.text == "replicas scale" for hit in hits) == 1
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    short = RequestSettings("m", "p", per_document=1, candidates=2)
    assert len(await retriever.retrieve("replicas scale", vector, short)) == 2


async def test_another_takes_the_place_of_a_passage_that_was_deleted_since_it_was_found() -> None:
    class Deleting(FakeStore):
        async def fetch(self, ids: Sequence[str]) -> list[Passage]:
            return await super().fetch([key for key in ids if key != point_id(passage("a"))])

    retriever, embedder = HybridRetriever(Deleting()), FakeEmbedder()
    passages = [passage(name) for name in TEXTS]
    await retriever.upsert(passages, await embedder.embed([p.text for p in passages]))
    [vector] = await embedder.embed([TEXTS["a"]])
    hits = await retriever.find(vector, query_vector(TEXTS["a"]), RequestSettings("m", "p", candidates=2))
    assert sorted(hit.passage.id for hit in hits) == ["b:0", "c:0"]


@pytest.mark.parametrize(
    ("question", "found"),
    [
        ("When does the autoscaler add a node?", True),
        ("Which colour do bananas have?", True),
        ("What is the capital of France?", False),
        ("Who wrote Hamlet?", False),
        ("what is it", False),
        ("🚀🚀🚀", False),
        ("", False),
    ],
)
async def test_what_the_documents_do_not_say_is_not_found(
    question: str, found: bool, embedder: SentenceEmbedder
) -> None:
    retriever = HybridRetriever(FakeStore())
    passages = [passage(name) for name in TEXTS]
    await retriever.upsert(passages, embedder.encode([p.text for p in passages]))
    settings = RetrieveConfig().defaults("m", "p")
    hits = await retriever.retrieve(question, embedder.encode([question])[0], settings)
    assert bool(hits) == found


def test_defaults_cover_the_request_settings() -> None:
    settings = RetrieveConfig(top_k=7, rerank_weight=0.3).defaults("quote", "quote@1")
    assert (settings.model, settings.prompt, settings.top_k, settings.rerank_weight) == ("quote", "quote@1", 7, 0.3)
