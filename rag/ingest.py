"""Uploaded documents into the library: chunk, embed, write. `python -m rag.ingest SRC...` does it for folders.

Plain async Python: it knows the roles, not where they run.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rag.carry import ORIGIN, UPLOADED
from rag.chunk import ChunkConfig, chunk, embedded_text
from rag.embed import EmbedConfig, TokenCounter
from rag.errors import UnreadableDocument
from rag.stages import Embedder, Library
from rag.types import Document, DocumentInfo, Passage

BATCH = 64
"""Passages in one call of the embedder."""


class Ingestor:
    """Adds documents to a library. `embed` is the configuration of `embedder`: its tokenizer counts."""

    def __init__(
        self, embedder: Embedder, library: Library, config: ChunkConfig, embed: EmbedConfig | None = None
    ) -> None:
        self._embedder = embedder
        self._library = library
        self._config = config
        self._count_tokens = TokenCounter(embed or EmbedConfig())

    async def add(self, documents: Sequence[Document]) -> list[DocumentInfo]:
        """Store `documents`, each replacing the one of its id; searchable and durable on return, or none is stored.

        Their passages carry the mark of an upload: they move on when another index version is promoted.
        Raises UnreadableDocument, naming the document's place, when one has no text.
        """
        groups = await asyncio.to_thread(self._chunk, documents)
        passages = [passage for group in groups for passage in group]
        texts = [embedded_text(passage) for passage in passages]
        parts = [await self._embedder.embed(texts[n : n + BATCH]) for n in range(0, len(texts), BATCH)]
        if parts:
            await self._library.upsert(passages, np.concatenate(parts))
        return [
            DocumentInfo(document.id, document.title, document.url, len(group), document.metadata)
            for document, group in zip(documents, groups, strict=True)
        ]

    def _chunk(self, documents: Sequence[Document]) -> list[list[Passage]]:
        limit = min(self._config.max_tokens, self._count_tokens.max_tokens)
        config = self._config.model_copy(update={"max_tokens": limit})
        marked = (replace(d, metadata={**d.metadata, ORIGIN: UPLOADED}) for d in documents)
        groups = [chunk(document, config, self._count_tokens) for document in marked]
        for n, group in enumerate(groups):
            if not group:
                raise UnreadableDocument("the document holds no text", f"documents[{n}].text")
        return groups


if __name__ == "__main__":
    from rag.ingest_files import main

    raise SystemExit(main())
