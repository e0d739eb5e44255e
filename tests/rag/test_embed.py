"""The bundled MiniLM: unit vectors in order, tokens with their places, the same through sentence-transformers."""

import numpy as np
import pytest

from rag.embed import BUNDLED, BUNDLED_DIMENSIONS, EmbedConfig, SentenceEmbedder, TokenCounter, bundled_path

TEXTS = ["How do replicas scale?", "a", "", "Scaling the number of replicas. " * 30, "Bananas are yellow."]


async def test_vectors_are_unit_and_keep_the_order(embedder: SentenceEmbedder) -> None:
    vectors = await embedder.embed(TEXTS)
    assert vectors.shape == (len(TEXTS), embedder.dimensions)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    alone = np.concatenate([embedder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(vectors, alone, atol=1e-5)
    assert vectors[0] @ vectors[3] > vectors[0] @ vectors[4]


def test_no_texts_no_vectors(embedder: SentenceEmbedder) -> None:
    assert embedder.encode([]).shape == (0, BUNDLED_DIMENSIONS)
    assert embedder.token_vectors([]) == []


def test_token_vectors_say_where_they_stand(embedder: SentenceEmbedder) -> None:
    texts = ["Replicas scale.", "", "Größe von `max_ongoing_requests`"]
    for text, tokens in zip(texts, embedder.token_vectors(texts), strict=True):
        assert len(tokens.vectors) == len(tokens.spans)
        np.testing.assert_allclose(np.linalg.norm(tokens.vectors, axis=1), 1, atol=1e-5)
        assert "".join(text[start:end] for start, end in tokens.spans) == text.replace(" ", "")


def test_tokens_are_counted_past_the_limit(embedder: SentenceEmbedder) -> None:
    assert embedder.max_tokens == 256
    assert embedder.count_tokens("") == 2
    assert embedder.count_tokens("hello " * 1000) == 1002
    assert TokenCounter(EmbedConfig())("hello " * 1000) == 1002
    assert len(embedder.token_vectors(["hello " * 1000])[0].spans) == 254


def test_load_comes_first() -> None:
    with pytest.raises(RuntimeError, match="load"):
        SentenceEmbedder(EmbedConfig()).encode(["a"])


def test_wrong_dimensions_are_named() -> None:
    with pytest.raises(ValueError, match=r"embed\.dimensions: .* makes 384, not 768"):
        SentenceEmbedder(EmbedConfig(dimensions=768)).load()


@pytest.mark.filterwarnings("ignore")
def test_a_sentence_transformers_model_by_path() -> None:
    bundled, other = (SentenceEmbedder(EmbedConfig(model=m, backend="torch")) for m in (BUNDLED, str(bundled_path())))
    bundled.load()
    other.load()
    assert other.max_tokens == 256
    np.testing.assert_allclose(other.encode(TEXTS), bundled.encode(TEXTS), atol=1e-4)
    [tokens] = other.token_vectors(["Replicas scale."])
    np.testing.assert_allclose(tokens.vectors, bundled.token_vectors(["Replicas scale."])[0].vectors, atol=1e-4)
