"""Readers that run in a process of their own: a crafted PDF or ZIP can eat any time and memory within its library."""

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rag.errors import TooLarge, UnreadableDocument

if TYPE_CHECKING:
    from rag.read import Content, ReadConfig

NAMES = {"pdf": "PDF", "docx": "Word file"}


def bounded(kind: Literal["pdf", "docx"], data: bytes, limits: "ReadConfig") -> "Content":
    """Title and text, read by the program rag/read_<kind>.py within `limits`. Raises TooLarge, UnreadableDocument."""
    from rag.read import Content

    command = [sys.executable, "-I", str(Path(__file__).with_name(f"read_{kind}.py"))]
    bounds = [limits.max_pages, limits.max_chars, limits.pdf_seconds, limits.pdf_bytes]
    try:
        done = subprocess.run(
            [*command, *map(str, bounds)], input=data, capture_output=True, timeout=limits.pdf_seconds + 5, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise TooLarge(f"the {NAMES[kind]} takes longer than {limits.pdf_seconds} s to read", "file") from error
    answer: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"large": "it takes too much to read"}
    if "large" in answer:
        raise TooLarge(f"the {NAMES[kind]} is too large: {answer['large']}", "file")
    if "broken" in answer:
        raise UnreadableDocument(f"the {NAMES[kind]} cannot be read: {answer['broken']}", "file")
    return Content(answer["text"], answer["title"])
