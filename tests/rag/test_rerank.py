"""MaxSim on the bundled MiniLM: the blend, the cache, and the sentence that answers."""

from collections.abc import Sequence

import numpy as np
import pytest

from rag.embed import SentenceEmbedder
from rag.rerank import MaxSimReranker, RerankConfig
from rag.tokens import PackedTokens, TokenCache
from rag.types import Hit, Passage, RequestSettings, TokenVectors

PAGES = {
    "Autoscaling": "## Scaling down\n\nThe autoscaler removes a replica after the load has stayed below the target for "
    "600 seconds.\nThe number of replicas always stays between the two bounds.\nWhen does it remove one?\n",
    "Security": "## API keys\n\nThe configuration holds only the SHA-256 of an API key, never the key itself.\n"
    "To revoke an API key, remove its entry from the\nconfiguration and deploy it again.\n",
    "Storage": "## Restarts\n\nA restart keeps all documents, because every write is flushed to disk:\n\n"
    "```bash\nmake down && make up\n```\n\nThe embedded store allows exactly one replica.\n",
    "Glossary": "## Speed\n\nTTFT is the time from the start of a request to the first text that reaches the client.\n"
    "Throughput is the number of requests that a system completes per second.\n",
}


def hits() -> list[Hit]:
    """All pages, as a first stage that cannot tell them apart would give them."""
    return [
        Hit(Passage(f"{n}:0", title, text, title, headings=(title,), end=len(text)), 0.0)
        for n, (title, text) in enumerate(PAGES.items())
    ]


@pytest.fixture(scope="module")
def reranker(embedder: SentenceEmbedder) -> MaxSimReranker:
    return MaxSimReranker(embedder, RerankConfig())


@pytest.mark.parametrize(
    ("question", "page", "answer"),
    [
        ("When does the autoscaler take a replica away?", "Autoscaling", "600 seconds"),
        ("How do I revoke a key?", "Security", "remove its entry"),
        ("Is the key itself stored?", "Security", "SHA-256"),
        ("Do my documents survive a restart?", "Storage", "keeps all documents"),
        ("How many replicas can an embedded store have?", "Storage", "exactly one replica"),
        ("What does TTFT mean?", "Glossary", "time from the start"),
        ("what is throughput", "Glossary", "completes per second"),
    ],
)
async def test_the_best_sentence_answers(reranker: MaxSimReranker, question: str, page: str, answer: str) -> None:
    ranked = await reranker.rerank(question, hits(), RequestSettings("m", "p", top_k=3))
    assert len(ranked) == 3
    assert ranked[0].passage.title == page
    best, hit = max(((s, h) for h in ranked for s in h.sentences), key=lambda pair: pair[0].score)
    assert answer in " ".join(hit.passage.text[best.start : best.end].split())


def test_the_weight_blends_with_the_first_stage(reranker: MaxSimReranker) -> None:
    first = [Hit(hit.passage, float(-n)) for n, hit in enumerate(hits())]
    question = "what is throughput"
    assert [h.passage.id for h in reranker.score(question, first, 0.0, 4)] == ["0:0", "1:0", "2:0", "3:0"]
    assert reranker.score(question, first, 1.0, 4)[0].passage.id == "3:0"
    for hit in reranker.score(question, first, 0.5, 4):
        assert hit.rerank is not None
        assert 0 <= hit.rerank <= 1


def test_code_is_never_a_sentence_and_places_are_exact(reranker: MaxSimReranker) -> None:
    for hit in reranker.score("make down", hits(), 0.5, 4):
        for sentence in hit.sentences:
            text = hit.passage.text[sentence.start : sentence.end]
            assert text == text.strip()
            assert "make down" not in text


async def test_odd_questions_and_no_hits(reranker: MaxSimReranker) -> None:
    settings = RequestSettings("m", "p")
    assert await reranker.rerank("anything", [], settings) == []
    for question in ("", "🚀", "the of and", "word " * 3000):
        ranked = await reranker.rerank(question, hits(), settings)
        assert all(np.isfinite(h.score) and np.isfinite([s.score for s in h.sentences]).all() for h in ranked)


def test_passages_seen_before_cost_no_forward_pass(embedder: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch) -> None:
    embedded: list[int] = []
    token_vectors = embedder.token_vectors

    def counted(texts: Sequence[str]) -> list[TokenVectors]:
        embedded.append(len(texts))
        return token_vectors(texts)

    monkeypatch.setattr(embedder, "token_vectors", counted)
    reranker = MaxSimReranker(embedder, RerankConfig())
    for _ in range(2):
        reranker.score("question", hits(), 0.5, 4)
    assert embedded == [1, len(PAGES), 1]


def test_the_cache_stays_within_its_bytes() -> None:
    cache = TokenCache(700)
    tokens = PackedTokens(np.zeros((10, 16), np.int8), np.zeros(10, np.float32), np.zeros((10, 2), np.int32))
    assert tokens.nbytes == 280
    for key in (b"a", b"b"):
        cache.put(key, tokens)
    assert cache.get(b"a") is not None
    cache.put(b"c", tokens)
    assert [key for key in (b"a", b"b", b"c") if cache.get(key)] == [b"a", b"c"]
    nothing = TokenCache(0)
    nothing.put(b"a", tokens)
    assert nothing.get(b"a") is None
