"""Fusion, the floor under it, and the two roles on a store."""

import numpy as np
import pytest

from rag.embed import SentenceEmbedder
from rag.fakes import FakeEmbedder
from rag.retrieve import HybridRetriever, RetrieveConfig, fuse
from rag.store import FakeStore, Scored
from rag.types import Passage, RequestSettings

SETTINGS = RequestSettings("m", "p")
TEXTS = {
    "a": "Replicas scale on ongoing requests.",
    "b": "The autoscaler adds a node when a placement group cannot be scheduled.",
    "c": "Bananas are yellow and rich in potassium.",
}


def passage(name: str) -> Passage:
    return Passage(f"{name}:0", name, TEXTS[name], name.upper())


def scored(**scores: float) -> list[Scored]:
    return [Scored(f"{name}:0", score) for name, score in scores.items()]


def test_weights_choose_the_side() -> None:
    dense, sparse = scored(a=0.9, b=0.5, c=0.1), scored(c=9.0, b=5.0, a=1.0)
    assert [hit.id for hit in fuse(dense, sparse, 1.0)] == ["a:0", "b:0", "c:0"]
    assert [hit.id for hit in fuse(dense, sparse, 0.0)] == ["c:0", "b:0", "a:0"]
    assert [hit.score for hit in fuse(dense, sparse, 0.5)] == pytest.approx([0, 0, 0], abs=1e-6)


def test_raw_scores_stay_and_the_missing_side_counts_as_its_lowest() -> None:
    hits = {hit.id[0]: hit for hit in fuse(scored(a=0.9, b=0.5), scored(c=9.0, b=5.0), 0.5)}
    assert (hits["a"].dense, hits["a"].sparse) == (0.9, None)
    assert (hits["b"].dense, hits["b"].sparse) == (0.5, 5.0)
    assert hits["a"].score == pytest.approx(hits["c"].score, abs=1e-6)
    assert hits["b"].score < hits["a"].score


@pytest.mark.parametrize("sides", [([], []), (scored(a=0.5), []), ([], scored(a=0.5)), (scored(a=1.0), scored(a=1.0))])
def test_few_hits_are_no_trouble(sides: tuple[list[Scored], list[Scored]]) -> None:
    hits = fuse(*sides, 0.5)
    assert len(hits) == len({h.id for side in sides for h in side})
    assert all(np.isfinite(hit.score) for hit in hits)


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
