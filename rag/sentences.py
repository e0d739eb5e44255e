"""The sentences of a passage: where they stand, and which of them can be quoted as an answer."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Kind = Literal["prose", "heading", "intro", "question", "fragment", "long", "row"]

FENCE = re.compile(r"\s{0,3}(```+|~~~+)")
HEADING = re.compile(r"#{1,6}\s+(?=\S)")
ITEM = re.compile(r"\s*(?:[-*+•]|\d{1,3}[.)]|#\.)\s+(?=\S)")
RULE = re.compile(r"([=\-~^\"'`#*+.:_])\1{2,}")
DELIMITERS = re.compile(r"[|:\-\s]*")
QUOTE = re.compile(r"\s*>\s?")
DIRECTIVE = re.compile(r"\s*(?:\.\.\s|:\w[\w -]*:(?:\s|$)|<!--|\[//\]|:{3,}|\{%)")
END = re.compile(r"[.!?…]+[\"')\]*_`]*(?=\s+[\"'(\[*_`“]*[A-Z0-9`*_(\"“])")
ABBREVIATION = re.compile(
    r"(?:\b(?:e\.g|i\.e|etc|vs|cf|approx|resp|incl|fig|eq|sec|no|vol|al|dr|mr|mrs|ms|prof|st|jr|sr|inc|ltd|co|gen|u\.s)"
    r"|\b[A-Za-z]|^\d{1,2})\.$",
    re.IGNORECASE,
)
SHORT = 4
"""Words under which a sentence is a fragment."""
LONG = 60
"""Words over which a sentence is too long to quote."""


@dataclass(frozen=True, slots=True)
class Span:
    """`text[start:end]` is one sentence, heading or table row; it may hold line breaks, which mean a space."""

    start: int
    end: int
    kind: Kind


def sentences(text: str) -> list[Span]:
    """The sentences of a markdown, reStructuredText or plain passage in order; code blocks give none."""
    return [span for start, end, kind in units(text) for span in split(text, start, end, kind)]


def units(text: str) -> Iterator[tuple[int, int, Kind]]:
    """Headings, table rows, and stretches of running text: paragraphs and list items without their markers."""
    fence = ""
    begin = end = None
    literal = False
    for line in re.finditer(r"[^\n]*\n?", text):
        body = line[0].rstrip()
        mark = FENCE.match(body)
        opens = bool(mark) and not fence
        in_code = bool(fence) or opens
        if mark and (opens or body.strip() == fence):
            fence = mark[1] if opens else ""
        indented = bool(re.match(r"\s{2,}\S", body))
        literal = literal and (indented or not body)
        plain = not (in_code or literal) and bool(body) and not rule(body) and not DIRECTIVE.match(body)
        item, heading = ITEM.match(body), HEADING.match(body)
        row = body.lstrip().startswith("|")
        if begin is not None and end is not None and (not plain or item or heading or row):
            literal = literal or text[begin:end].endswith("::")
            underlined = rule(body) and "\n" not in text[begin:end]
            yield begin, end, "heading" if underlined else "prose"
            begin = end = None
        if not plain:
            continue
        at = line.start()
        if heading or row:
            yield at + (heading.end() if heading else 0), at + len(body), "heading" if heading else "row"
            continue
        quote = QUOTE.match(body) if begin is None else None
        lead = item.end() if item else quote.end() if quote else len(body) - len(body.lstrip())
        begin = at + lead if begin is None else begin
        end = at + len(body)
    if begin is not None and end is not None:
        yield begin, end, "prose"


def rule(line: str) -> bool:
    """Whether the line underlines what is above it, or parts a table's head from its rows."""
    marks = line.strip()
    return bool(RULE.fullmatch(marks) or ("---" in marks and DELIMITERS.fullmatch(marks)))


def split(text: str, start: int, end: int, kind: Kind) -> Iterator[Span]:
    """The sentences of the unit `text[start:end]`."""
    if kind != "prose":
        yield Span(start, end, kind)
        return
    begin = end - len(text[start:end].lstrip())  # an empty quotation line leaves its line break in front
    for match in END.finditer(text, start, end):
        if match[0].startswith(".") and ABBREVIATION.search(text, begin, match.start() + 1):
            continue
        yield Span(begin, match.end(), classify(text[begin : match.end()]))
        begin = match.end() + len(text[match.end() : end]) - len(text[match.end() : end].lstrip())
    if begin < end:
        yield Span(begin, end, classify(text[begin:end]))


def classify(sentence: str) -> Kind:
    """What a stretch of running text is to someone who wants to quote it."""
    words = len(sentence.split())
    if sentence.endswith("?"):
        return "question"
    if sentence.endswith((":", "::")):
        return "intro"
    if words < SHORT:
        return "fragment"
    return "long" if words > LONG else "prose"
