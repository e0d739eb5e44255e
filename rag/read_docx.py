"""Run as a program by rag/read_bounded.py: a Word file on standard input, its title and text as JSON on output.

It bounds itself before it reads: python -I read_docx.py MAX_PAGES MAX_CHARS MAX_SECONDS MAX_BYTES.
"""

import io
import json
import re
import resource
import sys
import zipfile
import zlib
from collections.abc import Iterator
from typing import Any

UNPACKED = 30
"""Bytes unpacked for each character of text that is allowed: XML markup is a multiple of what it marks."""
HEADING = re.compile(r"(?:Heading|heading) ([1-6])")


def main() -> None:
    """Print {"title", "text"}, or {"large": why}, or {"broken": why}."""
    _, chars, seconds, memory = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    try:
        answer = read(sys.stdin.buffer.read(), chars)
    except MemoryError:
        answer = {"large": "it takes too much memory to read"}
    json.dump(answer, sys.stdout)


def read(data: bytes, max_chars: int) -> dict[str, str]:
    """The text of the body, or what is wrong with the file."""
    from docx.opc.exceptions import OpcError
    from lxml.etree import LxmlError

    broken = (OpcError, LxmlError, zipfile.BadZipFile, zlib.error, ValueError, LookupError, TypeError, AttributeError)

    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sum(entry.file_size for entry in archive.infolist()) > max_chars * UNPACKED:
                return {"large": "it unpacks to more than the reader allows"}
        return extract(data, max_chars)
    except (*broken, RuntimeError):  # an encrypted archive, another compression, a recursion
        return {"broken": "it is damaged, or not a Word file"}


def extract(data: bytes, max_chars: int) -> dict[str, str]:
    """`read` of a sound file; python-docx raises anything at a crafted one."""
    from docx import Document

    found = Document(io.BytesIO(data))
    parts: list[str] = []
    chars = 0
    for part in blocks(found):
        parts.append(part)
        chars += len(part)
        if chars > max_chars:
            return {"large": f"its text has more than {max_chars} characters"}
    heading = next((part.lstrip("# ") for part in parts if part.startswith("#")), "")
    text = "\n\n".join(parts)
    return {"title": found.core_properties.title or heading, "text": text} if text else {"broken": "it has no text"}


def blocks(found: Any) -> Iterator[str]:
    """Paragraphs and tables in order, as markdown. A style is looked up once: python-docx goes through all of them."""
    styles: dict[str | None, str] = {}
    for block in found.iter_inner_content():
        if hasattr(block, "rows"):
            yield "\n".join("| " + " | ".join(" ".join(c.text.split()) for c in row.cells) + " |" for row in block.rows)
            continue
        text = block.text.strip()
        if not text:
            continue
        key = block._p.style
        if key not in styles:
            styles[key] = (block.style.name if block.style else "") or ""
        style = styles[key]
        if match := HEADING.fullmatch(style):
            yield f"{'#' * int(match[1])} {' '.join(text.split())}"
        elif style == "Title":
            yield f"# {' '.join(text.split())}"
        else:
            yield f"- {text}" if style.startswith("List") else text


if __name__ == "__main__":
    main()
