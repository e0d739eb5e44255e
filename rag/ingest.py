"""Uploaded documents into the library: chunk, embed, score, write. `python -m rag.ingest SRC...` does it for folders.

Plain async Python: it knows the roles, not where they run.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

import numpy as np

from rag.carry import ORIGIN, UPLOADED
from rag.chunk import ChunkConfig, chunk, embedded_text
from rag.embed import EmbedConfig, TokenCounter
from rag.errors import UnreadableDocument
from rag.scan import scanned, suspicion
from rag.stages import Embedder, Library, Scanner
from rag.store import Groups
from rag.types import Document, DocumentInfo, Passage, Vector

BATCH = 64
"""Passages in one call of the embedder."""

log = logging.getLogger(__name__)


class Ingestor:
    """Adds documents to a library. `embed` is the configuration of `embedder`: its tokenizer counts."""

    def __init__(
        self,
        embedder: Embedder,
        library: Library,
        config: ChunkConfig,
        embed: EmbedConfig | None = None,
        scanner: Scanner | None = None,
    ) -> None:
        self._embedder = embedder
        self._library = library
        self._config = config
        self._count_tokens = TokenCounter(embed or EmbedConfig())
        self._scanner = scanner

    async def add(self, documents: Sequence[Document], groups: Groups = None) -> list[DocumentInfo]:
        """Store `documents`, each replacing the one of its id; searchable and durable on return, or none is stored.

        Their passages carry the mark of an upload: they move on when another index version is promoted.
        Raises UnreadableDocument, naming the document's place, when one has no text, and IdTaken where one would
        replace a document that `groups` may not read (None: any may be replaced).
        """
        cut = await asyncio.to_thread(self._chunk, documents)
        passages, parts = list[Passage](), list[Vector]()
        for batch in batched([passage for found in cut for passage in found]):
            parts.append(await self._embedder.embed([embedded_text(passage) for passage in batch]))
            passages += await asyncio.to_thread(scanned, batch, parts[-1], self._scanner)
        if parts:
            await self._library.upsert(passages, np.concatenate(parts), groups)
        rest = iter(passages)
        return [told(document, list(islice(rest, len(found)))) for document, found in zip(documents, cut, strict=True)]

    def _chunk(self, documents: Sequence[Document]) -> list[list[Passage]]:
        limit = min(self._config.max_tokens, self._count_tokens.max_tokens)
        config = self._config.model_copy(update={"max_tokens": limit})
        marked = (replace(d, metadata={**d.metadata, ORIGIN: UPLOADED}) for d in documents)
        groups = [chunk(document, config, self._count_tokens) for document in marked]
        for n, group in enumerate(groups):
            if not group:
                raise UnreadableDocument("the document holds no text", f"documents[{n}].text")
        return groups


def batched(passages: Sequence[Passage]) -> Iterator[Sequence[Passage]]:
    """The passages, BATCH at a time."""
    return (passages[n : n + BATCH] for n in range(0, len(passages), BATCH))


def told(document: Document, passages: Sequence[Passage]) -> DocumentInfo:
    """What is told of a stored document. The log tells of suspicious passages too, by the document's id."""
    found = {p.id: score for p in passages if (score := suspicion(p.scores)) is not None}
    if found:
        worst, at = max((score, id) for id, score in found.items())
        log.warning(
            "%d of %d passages of %r read like instructions to the model, up to %.2f in %r",
            len(found), len(passages), document.id, worst, at,
        )  # fmt: skip
    return DocumentInfo(document.id, document.title, document.url, len(passages), document.metadata, found)


if __name__ == "__main__":
    from rag.ingest_files import main

    raise SystemExit(main())
