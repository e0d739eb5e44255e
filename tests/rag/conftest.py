"""The bundled embedder, loaded once for all unit tests that need real vectors; a fake one for the ingest job."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rag.collection import Collection
from rag.embed import EmbedConfig, SentenceEmbedder
from rag.fakes import FakeEmbedder
from rag.manifest import Manifest
from rag.store import Entry, StoreConfig, open_store
from rag.types import TokenVectors, Vector


@pytest.fixture(scope="session")
def embedder() -> SentenceEmbedder:
    embedder = SentenceEmbedder(EmbedConfig(threads=1))
    embedder.load()
    return embedder


class CountingEmbedder:
    """Stands in for the model in the ingest job's tests; counts the texts it embeds."""

    texts = 0

    def __init__(self, config: EmbedConfig) -> None:
        self.config = config

    def load(self) -> None:
        """There are no weights."""

    def encode(self, texts: Sequence[str]) -> Vector:
        return asyncio.run(FakeEmbedder().embed(texts))

    def encode_with_tokens(self, texts: Sequence[str]) -> tuple[Vector, list[TokenVectors]]:
        type(self).texts += len(texts)
        vectors = asyncio.run(FakeEmbedder().embed(texts))
        return vectors, [TokenVectors(vector[None], np.zeros((1, 2), np.int32)) for vector in vectors]


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> type[CountingEmbedder]:
    monkeypatch.setattr("rag.ingest_job.SentenceEmbedder", CountingEmbedder)
    monkeypatch.setattr(CountingEmbedder, "texts", 0)
    return CountingEmbedder


def stored(index: Path, collection: str = "raglan") -> list[Entry]:
    """Everything in the serving version of a collection of 64-dimensional vectors."""

    async def export() -> list[Entry]:
        found = Collection(index, collection)
        store = open_store(StoreConfig(path=found.engine(found.current())), 64)
        try:
            return [entry async for page in store.export() for entry in page]
        finally:
            await store.close()

    return asyncio.run(export())


async def make_version(collection: Collection, entries: Sequence[Entry], version: str = "") -> str:
    """A finished, promoted version with these 4-dimensional entries, or of what stands in `version` already."""
    made = version or collection.start()
    if entries:
        store = open_store(StoreConfig(path=collection.engine(made)), len(entries[0].vector))
        await store.write(entries)
        await store.close()
    collection.finish(Manifest(version=made, created="2026-05-01", collection=collection.name))
    collection.promote(made)
    return made
