"""The bundled embedder, loaded once for all unit tests that need real vectors."""

import pytest

from rag.embed import EmbedConfig, SentenceEmbedder


@pytest.fixture(scope="session")
def embedder() -> SentenceEmbedder:
    embedder = SentenceEmbedder(EmbedConfig(threads=1))
    embedder.load()
    return embedder
