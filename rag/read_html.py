"""HTML to markdown-like text, so that chunking sees headings, lists, tables and code. No tree, no recursion."""

import re
from html.parser import HTMLParser

HEADINGS = {f"h{n}": "#" * n for n in range(1, 7)}
SKIPPED = frozenset(("script", "style", "nav", "template", "noscript", "svg", "iframe", "head", "select", "button"))
BLOCK_TAGS = """
address article aside blockquote dd details div dl dt fieldset figcaption figure footer form header hr main ol p section
summary table tbody thead tfoot ul"""
BLOCKS = frozenset(BLOCK_TAGS.split())
MARKS = {"br": "\n", "li": "\n- ", "tr": "\n|", "td": " ", "th": " ", "pre": "\n\n```\n", "code": "`"}
BLANK = re.compile(r"\s+")
"""Runs of white space, which HTML reads as one space."""
SPACES = re.compile(r"[ \t]*\n[ \t]*")
GAPS = re.compile(r"\n{3,}")
MAX_OPEN = 100
"""Skipped elements that may be open inside each other before the parser stops counting."""


class TextWriter(HTMLParser):
    """Collects `title` and the pieces of the text."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.title = ""
        self.pieces: list[str] = []
        self._skipping: list[str] = []
        self._in_title = False
        self._pre = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "title":
            self._in_title = True
        elif tag in SKIPPED and len(self._skipping) < MAX_OPEN:
            self._skipping.append(tag)
        elif tag == "body":
            self._skipping.clear()
        elif not self._skipping:
            self._open(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self._in_title = False
        elif tag in self._skipping:
            while self._skipping.pop() != tag:
                pass
        elif not self._skipping:
            self._close(tag)

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._skipping:
            self.pieces.append(data if self._pre else BLANK.sub(" ", data))

    def _open(self, tag: str) -> None:
        if tag == "pre":
            self._pre += 1
        self.pieces.append(opening(tag, bool(self._pre)))

    def _close(self, tag: str) -> None:
        if tag == "pre" and self._pre:
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
    plain = {
        "br": "\n",
        "li": "\n- ",
        "tr": "\n|",
        "td": " ",
        "th": " ",
        "pre": "\n\n```\n",
        "code": "" if pre else "`",
    }
    return plain.get(tag, "")


def html_to_text(html: str) -> tuple[str, str]:
    """Title and text of a page: the title is <title>, else the first heading."""
    writer = TextWriter()
    writer.feed(html)
    writer.close()
    parts = re.split(r"(\n```\n.*?\n```\n)", "".join(writer.pieces), flags=re.DOTALL)
    tidy = (part if n % 2 else GAPS.sub("\n\n", SPACES.sub("\n", part)) for n, part in enumerate(parts))
    text = "\n\n".join(part.strip("\n ") for part in tidy if part.strip())
    heading = re.search(r"^#+ (.+)$", text, re.MULTILINE)
    return writer.title.strip() or (heading[1] if heading else ""), text
