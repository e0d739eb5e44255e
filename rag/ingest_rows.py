"""An item to the rows of its passages: read, cut, embedded. The same functions run in this process and in a Ray job."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rag.carry import ORIGIN
from rag.chunk import ChunkConfig, chunk, embedded_text
from rag.duplicates import signature
from rag.embed import BUNDLED, EmbedConfig, SentenceEmbedder, TokenCounter
from rag.errors import RaglanError, TooLarge, UnreadableDocument
from rag.ingest_scan import Item, Origin
from rag.parts import row
from rag.read import ReadConfig, read_documents
from rag.scan import as_read, find_scanner, scores
from rag.sparse import document_vector
from rag.stages import Scanner
from rag.tokens import PackedTokens, pack, token_key
from rag.types import Document, Passage


@dataclass(frozen=True, slots=True)
class RowConfig:
    """All that the rows of an item depend on beside the item. `scanner` is what scores passages, as MODULE:NAME."""

    read: ReadConfig
    chunk: ChunkConfig
    embed: EmbedConfig
    scanner: str = ""

    def make_scanner(self, embedder: SentenceEmbedder) -> Scanner | None:
        """What scores the passages, if anything does. Raises InvalidInput."""
        make = find_scanner(self.scanner)
        return make(embedder.encode, self.embed.model == BUNDLED) if make else None


@dataclass(frozen=True, slots=True)
class Prepared:
    """An item's rows without dense vectors and the texts to embed for them; or the `reason` why there are none.

    `passing`: that is not the item's own fault, and another run may read it.
    """

    item: Item
    rows: tuple[dict[str, Any], ...] = ()
    texts: tuple[str, ...] = ()
    reason: str = ""
    passing: bool = False


class Preparer:
    """Reads and cuts. Cheap to construct; called in any process that sees the files."""

    def __init__(self, config: RowConfig) -> None:
        self._config = config
        self._count = TokenCounter(config.embed)

    def __call__(self, item: Item) -> Prepared:
        """The item's rows; never raises for what is wrong with the item itself."""
        try:
            found = documents(item, self._config.read)
            passages = [passage for document in found for passage in self._cut(document)]
            if not passages:
                raise UnreadableDocument("the document holds no text", "file")
        except (RaglanError, OSError) as error:
            return Prepared(item, reason=str(error), passing=isinstance(error, OSError))
        texts = tuple(embedded_text(passage) for passage in passages)
        rows = tuple(with_sides(p, text, item) for p, text in zip(passages, texts, strict=True))
        return Prepared(item, rows, texts)

    def _cut(self, document: Document) -> list[Passage]:
        limit = min(self._config.chunk.max_tokens, self._count.max_tokens)
        return chunk(document, self._config.chunk.model_copy(update={"max_tokens": limit}), self._count)


def with_sides(passage: Passage, text: str, item: Item) -> dict[str, Any]:
    """A row with its sparse vector and signature; `text` is what stands for the passage in every vector."""
    sparse, found = document_vector(text), signature(passage.text)
    return row(passage, (item.key, item.hash)) | {
        "same": found.same, "near": found.near, "indices": list(sparse.indices), "values": list(sparse.values),
    }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Embedded:
    """Rows with their dense vectors and scores, and token vectors by the keys of the rows' texts."""

    rows: list[dict[str, Any]]
    tokens: dict[bytes, PackedTokens]


def embedded(prepared: Sequence[Prepared], embedder: SentenceEmbedder, scanner: Scanner | None) -> Embedded:
    """The rows of all items. Blocks."""
    rows = [row for one in prepared for row in one.rows]
    texts = [text for one in prepared for text in one.texts]
    vectors, tokens = embedder.encode_with_tokens(texts)
    keys = (token_key(embedder.config.model, text) for text in texts)
    found = scores([as_read(row["title"], row["headings"], row["text"]) for row in rows], vectors, scanner)
    return Embedded(
        [row | {"vector": v, "scores": json.dumps(s)} for row, v, s in zip(rows, vectors, found, strict=True)],
        dict(zip(keys, map(pack, tokens), strict=True)),
    )


def documents(item: Item, limits: ReadConfig) -> list[Document]:
    """The item's documents with what its origin gives them. Raises RaglanError or OSError for what cannot be read."""
    path = Path(item.path)
    line = path.suffix.lower() == ".jsonl"
    with path.open("rb") as file:
        file.seek(item.begin)
        data = file.read(item.size)
        if not line and file.read(1):
            raise TooLarge("the file has grown while it was read", "file")
    day = datetime.fromtimestamp(path.stat().st_mtime, UTC).date().isoformat()
    found = read_documents(path.name if line else item.key, data, limits)
    named = (replace(document, id=item.key) if document.id == path.name else document for document in found)
    return [with_origin(document, item.origin, day) for document in named]


def with_origin(document: Document, origin: Origin, day: str) -> Document:
    """The document with its origin's tenant, groups, URL prefix, source and tags; it is of the `day` unless it says."""
    own = {name: value for name, value in document.metadata.items() if name != ORIGIN}  # only uploads have one
    known: Mapping[str, str] = {"source": origin.name, "date": day, **own}
    tags = [tag for tag in (*origin.tags, *known.get("tags", "").split(",")) if tag]
    return replace(
        document,
        url=document.url or f"{origin.url_prefix}{document.id}",
        metadata={**known, **({"tags": ",".join(dict.fromkeys(tags))} if tags else {})},
        tenant=origin.tenant,
        groups=origin.groups,
    )
