"""HTML to markdown-like text, so that chunking sees headings, lists, tables and code. No tree, no recursion.

Parsed by libxml2: Python's own parser takes quadratic time on tags that never end.
"""

import re
from collections.abc import Mapping

from lxml import etree

HEADINGS = {f"h{n}": "#" * n for n in range(1, 7)}
SKIPPED = frozenset(("script", "style", "nav", "template", "noscript", "svg", "iframe", "select", "button"))
BLOCK_TAGS = """
address article aside blockquote dd details div dl dt fieldset figcaption figure footer form header hr main ol p section
summary table tbody thead tfoot ul"""
BLOCKS = frozenset(BLOCK_TAGS.split())
MARKS = {"br": "\n", "li": "\n- ", "tr": "\n|", "td": " ", "th": " ", "pre": "\n\n```\n", "code": "`"}
BLANK = re.compile(r"\s+")
"""Runs of white space, which HTML reads as one space."""
GAPS = re.compile(r"\n{3,}")


class TextWriter:
    """A parser's target: collects the pieces of the title and of the text. Every element that starts also ends."""

    def __init__(self) -> None:
        self.titles: list[str] = []
        self.pieces: list[str] = []
        self._skipped = 0
        self._in_title = False
        self._pre = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        if self._skipped or tag in SKIPPED:
            self._skipped += 1
        elif tag == "title":
            self._in_title = True
        else:
            self._pre += tag == "pre"
            self.pieces.append(opening(tag, bool(self._pre)))

    def end(self, tag: str) -> None:
        if self._skipped:
            self._skipped -= 1
        elif tag == "title":
            self._in_title = False
        else:
            self._close(tag)

    def data(self, data: str) -> None:
        if self._in_title:
            self.titles.append(data)
        elif not self._skipped:
            self.pieces.append(data if self._pre else BLANK.sub(" ", data))

    def close(self) -> None:
        """There is no tree to return."""

    def _close(self, tag: str) -> None:
        if tag == "pre":
            self._pre -= 1
            self.pieces.append("\n```\n\n")
        elif tag in HEADINGS or tag in BLOCKS:
            self.pieces.append("\n\n")
        elif tag == "code" and not self._pre:
            self.pieces.append("`")
        elif tag in ("td", "th"):
            self.pieces.append(" |")


def opening(tag: str, pre: bool) -> str:
    """What a start tag writes."""
    if tag in HEADINGS:
        return f"\n\n{HEADINGS[tag]} "
    if tag in BLOCKS:
        return "\n\n"
    return "" if pre and tag == "code" else MARKS.get(tag, "")


def html_to_text(html: str) -> tuple[str, str]:
    """Title and text of a page: the title is <title>, else the first heading."""
    writer = TextWriter()
    parser = etree.HTMLParser(target=writer, encoding="utf-8", huge_tree=True)
    parser.feed(html.encode())
    parser.close()
    parts = re.split(r"(\n```\n.*?\n```\n)", "".join(writer.pieces), flags=re.DOTALL)
    tidy = (part if n % 2 else GAPS.sub("\n\n", stripped(part)) for n, part in enumerate(parts))
    text = "\n\n".join(part.strip("\n ") for part in tidy if part.strip())
    heading = re.search(r"^#+ (.+)$", text, re.MULTILINE)
    return "".join(writer.titles).strip() or (heading[1] if heading else ""), text


def stripped(text: str) -> str:
    """The text without blanks at the ends of its lines."""
    return "\n".join(line.strip(" \t") for line in text.split("\n"))
