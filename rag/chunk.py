"""Documents to passages: along the headings, code and tables whole where they fit, none over the token limit.

Tokens are counted as the embedder does, with what is embedded before the text, so that nothing is cut there.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import PurePosixPath

from pydantic import BaseModel, ConfigDict, Field

from rag.outline import Block, Section, sections
from rag.outline_code import CODE, code_sections
from rag.types import Document, Passage

CountTokens = Callable[[str], int]
CHARS_PER_TOKEN = 12
"""Characters of a passage per token of the limit, at most: WordPiece makes one token of a word of any length."""
COUNTED = 64
"""Latest texts whose counts are remembered: a piece is counted to see if it fits, and to pack it."""
LINES = re.compile(r"[^\n]+")


class ChunkConfig(BaseModel):
    """How long a passage may be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_tokens: int = Field(
        256, ge=32, le=8192, description="Most tokens of a passage with its title and headings; the embedder's at most."
    )


def embedded_prefix(passage: Passage) -> str:
    """What stands before a passage's text when it is embedded: its title and the headings it does not open with."""
    path = [passage.title, *passage.headings]
    first = passage.text.lstrip("#= \n").partition("\n")[0].strip()
    kept = [part for n, part in enumerate(path) if part and part != first and part not in path[:n]]
    return " > ".join(kept) + "\n" if kept else ""


def embedded_text(passage: Passage) -> str:
    """The text that stands for a passage in every vector: dense, sparse and by token."""
    return embedded_prefix(passage) + passage.text


def chunk(document: Document, config: ChunkConfig, count_tokens: CountTokens) -> list[Passage]:
    """Cut `document` into passages that hold all of its text but blank space, in order and without overlap.

    `count_tokens` counts as the embedder does, special tokens included. Headings and titles too long to leave half
    of the limit to the text are cut from the passage's path. Its `url` points at its innermost heading; in a document
    whose id ends like a file of source code, at the line where its function or class begins.
    """
    passages: list[Passage] = []
    count_tokens = lru_cache(COUNTED)(count_tokens)
    code = PurePosixPath(document.id).suffix.lower() in CODE
    for section in code_sections(document.text) if code else whole_sections(sections(document.text)):
        draft = fitting_draft(document, section, config.max_tokens // 2, count_tokens)
        cutter = Cutter(document.text, config.max_tokens - count_tokens(embedded_prefix(draft)), count_tokens)
        for start, end in cutter.pack(section.blocks):
            text = document.text[start:end]
            passages.append(replace(draft, id=f"{document.id}:{len(passages)}", text=text, start=start, end=end))
    return passages


def whole_sections(found: list[Section]) -> Iterator[Section]:
    """The sections; one that is nothing but its heading becomes the beginning of the next."""
    carried: list[Block] = []
    for n, section in enumerate(found):
        carried += section.blocks
        if len(section.blocks) == 1 and section.headings and n + 1 < len(found):
            continue
        yield replace(section, blocks=carried)
        carried = []


def fitting_draft(document: Document, section: Section, limit: int, count_tokens: CountTokens) -> Passage:
    """A passage without text whose prefix takes at most `limit` tokens: it gives up outer headings, then its title."""
    url = f"{document.url.partition('#')[0]}#{section.anchor}" if document.url and section.anchor else document.url
    draft = Passage(
        "",
        document.id,
        "",
        document.title,
        url,
        fitting(document.title, section.headings, limit, count_tokens),
        metadata=document.metadata,
        tenant=document.tenant,
        groups=document.groups,
    )
    while count_tokens(embedded_prefix(draft)) > limit:
        if draft.headings:
            draft = replace(draft, headings=draft.headings[1:])
        else:
            draft = replace(draft, title=draft.title[: len(draft.title) // 2])
    return draft


def fitting(title: str, headings: tuple[str, ...], limit: int, count_tokens: CountTokens) -> tuple[str, ...]:
    """The innermost headings that take at most `limit` tokens with the title and a token between each two.

    Each is counted alone, so that a heading of many sections is counted once.
    """
    left = limit - count_tokens(title) + (not title)
    for n in reversed(range(len(headings))):
        if headings[n] not in (title, *headings[n + 1 :]):
            left -= count_tokens(headings[n]) - 1
        if left < 0:
            return headings[n + 1 :]
    return headings


@dataclass(frozen=True, slots=True)
class Cutter:
    """Cuts stretches of `text` to at most `limit` tokens, two of them special."""

    text: str
    limit: int
    count_tokens: CountTokens

    def pack(self, blocks: list[Block]) -> Iterator[tuple[int, int]]:
        """Join neighbouring blocks while they fit together; cut those that do not fit alone."""
        begin = end = total = blanks = 0
        for block in (piece for whole in blocks for piece in self.cut(whole)):
            size = self.size(block.start, block.end)
            if end and (total + size > self.limit - 2 or self.too_long(begin, block.end)):
                yield from self.joined(begin, end, total + blanks)
                end = 0
            if not end:
                begin, end, total, blanks = block.start, block.start, 0, 0
            blanks += block.start - end
            end, total = block.end, total + size
        if end:
            yield from self.joined(begin, end, total + blanks)

    def joined(self, start: int, end: int, most: int) -> Iterator[tuple[int, int]]:
        """Blocks together, counted again only where they have too many tokens when each blank between is one."""
        return iter([(start, end)]) if most <= self.limit - 2 else self.checked(start, end)

    def cut(self, block: Block) -> Iterator[Block]:
        """The block, or pieces of it that fit: at line ends where it has rows, else at the ends of sentences."""
        if self.fits(block.start, block.end):
            yield block
        elif block.rows:
            for line in LINES.finditer(self.text, block.start, block.end):
                if not line[0].isspace():
                    yield from (Block(*span, rows=True) for span in self.checked(line.start(), line.end()))
        else:
            yield from (Block(*span) for part in self.prose(block) for span in self.checked(*part))

    def prose(self, block: Block) -> Iterator[tuple[int, int]]:
        """Whole sentences, by llama-index; a text with a word too long for a passage is left to be halved."""
        text = self.text[block.start : block.end]
        if max(map(len, text.split())) > self.limit:
            yield block.start, block.end
            return
        from llama_index.core.node_parser import SentenceSplitter

        def tokens(part: str) -> range:
            return range(max(self.count_tokens(part) - 2, 1))

        splitter = SentenceSplitter(
            chunk_size=self.limit - 2, chunk_overlap=0, tokenizer=tokens, secondary_chunking_regex=None
        )
        at = 0
        for part in splitter.split_text(text):
            at = text.index(part, at)
            yield block.start + at, block.start + at + len(part)
            at += len(part)

    def checked(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The stretch where it fits, else its halves, parted at the blank next to the middle if there is one."""
        if self.fits(start, end) or end - start < 2:
            yield start, end
            return
        middle = (start + end) // 2
        blank = max(self.text.rfind(mark, start + 1, middle) for mark in " \n")
        middle = blank if blank > start + (end - start) // 4 else middle
        for low, high in ((start, middle), (middle, end)):
            part = self.text[low:high]
            if part.strip():
                yield from self.checked(low + len(part) - len(part.lstrip()), low + len(part.rstrip()))

    def fits(self, start: int, end: int) -> bool:
        return not self.too_long(start, end) and self.size(start, end) <= self.limit - 2

    def too_long(self, start: int, end: int) -> bool:
        return end - start > self.limit * CHARS_PER_TOKEN

    def size(self, start: int, end: int) -> int:
        return self.count_tokens(self.text[start:end]) - 2
