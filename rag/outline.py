"""The outline of a markdown, reStructuredText or plain text: sections under headings, made of blocks.

Every offset is a character position in the text itself; nothing is rewritten.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
ATX = re.compile(r" {0,3}(#{1,6})[ \t]+(\S.*)")
UNDERLINE = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}\s*$")
LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()]*(?:\([^()]*\)[^()]*)?\)")
NOT_SLUG = re.compile(r"[^\w\- ]")
MAX_HEADING = 300
"""Characters kept of a heading, in its path and its anchor: every passage below it repeats them."""


@dataclass(frozen=True, slots=True)
class Line:
    """`text[start:end]` is a line without its line break."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch that is best kept whole: a paragraph, list, table or code block. `rows`: it breaks by lines only."""

    start: int
    end: int
    rows: bool = False


@dataclass(slots=True)
class Section:
    """What stands under one heading, the heading line included; `headings` is its path, outermost first."""

    headings: tuple[str, ...] = ()
    anchor: str = ""
    blocks: list[Block] = field(default_factory=list)


def sections(text: str) -> list[Section]:
    """Split `text` at its headings. All that is not blank stands in exactly one block, in order."""
    out = [Section()]
    path: list[tuple[int, str]] = []
    styles: list[str] = []
    slugs: dict[str, int] = {}
    for block, style, title in blocks(text):
        if title:
            title = title[:MAX_HEADING]
            if style not in styles and not style.isdigit():
                styles.append(style)
            level = int(style) if style.isdigit() else styles.index(style) + 1
            path = [*((depth, name) for depth, name in path if depth < level), (level, title)]
            out.append(Section(tuple(name for _, name in path), slug(title, slugs)))
        out[-1].blocks.append(block)
    return [section for section in out if section.blocks]


def slug(title: str, taken: dict[str, int]) -> str:
    """GitHub's anchor of a heading; one that is `taken`, with its latest number, gets the next free of -1, -2 ..."""
    found = base = NOT_SLUG.sub("", title.lower()).replace(" ", "-")
    while found in taken:
        taken[base] += 1
        found = f"{base}-{taken[base]}"
    taken[found] = 0
    return found


def blocks(text: str) -> Iterator[tuple[Block, str, str]]:
    """The blocks in order; a heading comes with its style (an ATX level, or its underline) and its title."""
    lines = [Line(m.start(), m.end(), m[0]) for m in re.finditer(r"[^\n]+", text)]
    at = 0
    while at < len(lines):
        if not lines[at].text.strip():
            at += 1
            continue
        style, title, after = heading(lines, at, text)
        if title:
            yield Block(lines[at].start, lines[after - 1].end), style, title
        else:
            after = end_of_block(lines, at, text)
            first = lines[at].text
            rows = bool(FENCE.match(first)) or first.lstrip().startswith(("|", "+-")) or first[0] in " \t"
            yield Block(lines[at].start, lines[after - 1].end, rows), "", ""
        at = after


def heading(lines: list[Line], at: int, text: str) -> tuple[str, str, int]:
    """Style, title and the line after a heading that begins at `at`; empty strings where none does."""
    line = lines[at].text
    if (match := ATX.match(line)) and (title := opened(match[2])):
        return str(len(match[1])), plain(title), at + 1
    over = UNDERLINE.match(line)
    if over and touching(lines, at, 2, text) and lines[at + 2].text.strip() == line.strip():
        return f"{over[1]}over", plain(lines[at + 1].text.strip()), at + 3
    if not over and line[0] not in " \t|>" and touching(lines, at, 1, text):
        under = UNDERLINE.match(lines[at + 1].text)
        if under and not line.lstrip().startswith(("- ", "* ")):
            return under[1], plain(line.strip()), at + 2
    return "", "", at


def touching(lines: list[Line], at: int, count: int, text: str) -> bool:
    """Whether `count` lines follow line `at` without a blank one between."""
    last = at + count
    return (
        last < len(lines)
        and text.count("\n", lines[at].start, lines[last].start) == count
        and all(line.text.strip() for line in lines[at : last + 1])
    )


def end_of_block(lines: list[Line], at: int, text: str) -> int:
    """The line after the block that begins at `at`: a fence to its close, else to a blank line or a heading, and
    on over the blank lines before what is indented (list items' paragraphs, reStructuredText's literal blocks).
    """
    if fence := FENCE.match(lines[at].text):
        for after in range(at + 1, len(lines)):
            close = lines[after].text.strip()
            if close.startswith(fence[1]) and not close.strip(fence[1][0]):
                return after + 1
        return len(lines)
    after = at + 1
    while after < len(lines):
        line = lines[after].text
        gap = text.count("\n", lines[after - 1].end, lines[after].start) > 1 or not line.strip()
        if gap and not (line[:1] in " \t" and line.strip()):
            return after
        if not gap and (FENCE.match(line) or heading(lines, after, text)[1]):
            return after
        after += 1
    return after


def opened(title: str) -> str:
    """An ATX heading's title without the marks that may close it, which stand alone or after a blank."""
    title = title.rstrip(" \t")
    bare = title.rstrip("#")
    return bare.rstrip(" \t") if not bare or bare[-1] in " \t" else title


def plain(title: str) -> str:
    """A heading as it is read: links, code marks and emphasis give way to their text."""
    return LINK.sub(r"\1", title).replace("`", "").replace("**", "").strip()
