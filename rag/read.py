"""Files to documents: markdown, reStructuredText, plain text, HTML and PDF.

Not by llama-index's own readers: those take paths, bound nothing and flatten headings. Every function blocks.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from rag.errors import TooLarge, UnreadableDocument, UnsupportedMedia
from rag.outline import sections
from rag.read_html import html_to_text
from rag.types import Document

MAGIC = {
    b"%PDF-": "a PDF file", b"PK\x03\x04": "a ZIP archive or Office file", b"\x1f\x8b": "a gzip file",
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image", b"\x7fELF": "a program",
    b"\xd0\xcf\x11\xe0": "an old Office file", b"{\\rtf": "an RTF file",
}  # fmt: skip
"""First bytes of files that people name wrongly."""
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip
MAX_TITLE = 200


class ReadConfig(BaseModel):
    """What a file may cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_bytes: int = Field(8_000_000, ge=1, description="Largest file, in bytes.")
    max_chars: int = Field(2_000_000, ge=1, description="Longest text of a file, in characters.")
    max_pages: int = Field(1_000, ge=1, description="Most pages of a PDF.")
    pdf_seconds: int = Field(30, ge=1, description="Longest time to read a PDF, in seconds.")
    pdf_bytes: int = Field(2_000_000_000, ge=500_000_000, description="Address space to read a PDF in, in bytes.")


def read_file(name: str, data: bytes, limits: ReadConfig) -> Document:
    """The document in a file's content; its id is `name`, its title what the file calls itself, else its name.

    Raises UnsupportedMedia for a type no reader takes, TooLarge over `limits`, and UnreadableDocument for a file
    that is broken, encrypted, empty or not of the type its name says.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in READERS:
        raise UnsupportedMedia(
            f"{suffix or 'a file without extension'} cannot be read: send {', '.join(READERS)}", "file"
        )
    if len(data) > limits.max_bytes:
        raise TooLarge(f"the file has more than {limits.max_bytes:,} bytes", "file")
    if not data.strip():
        raise UnreadableDocument("the file is empty", "file")
    kind = next((kind for magic, kind in MAGIC.items() if data.startswith(magic)), None)
    if kind and (suffix != ".pdf" or kind != "a PDF file"):
        raise UnreadableDocument(f"the file is named {suffix} but is {kind}", "file")
    title, text = READERS[suffix](data, limits)
    if len(text) > limits.max_chars:
        raise TooLarge(f"the file's text has more than {limits.max_chars:,} characters", "file")
    if not text.strip():
        raise UnreadableDocument("the file holds no text", "file")
    title = " ".join(title.split()) or PurePosixPath(name).stem
    return Document(name, text, title[:MAX_TITLE])


def read_marked(data: bytes, limits: ReadConfig) -> tuple[str, str]:
    """Markdown or reStructuredText; the title is its first heading, without YAML front matter in the text."""
    text = re.sub(r"\A---\n.*?\n---\n", "", decoded(data), count=1, flags=re.DOTALL)
    headings = (section.headings[-1] for section in sections(text[: limits.max_chars]) if section.headings)
    return next(headings, ""), text


def read_plain(data: bytes, limits: ReadConfig) -> tuple[str, str]:
    """Plain text has no title of its own."""
    return "", decoded(data)


def read_html(data: bytes, limits: ReadConfig) -> tuple[str, str]:
    """HTML as markdown."""
    return html_to_text(decoded(data))


def read_pdf(data: bytes, limits: ReadConfig) -> tuple[str, str]:
    """A PDF's text layer, read by a process of its own: a crafted file can eat any time and memory within pypdf."""
    command = [sys.executable, "-I", str(Path(__file__).with_name("read_pdf.py"))]
    bounds = [limits.max_pages, limits.max_chars, limits.pdf_seconds, limits.pdf_bytes]
    try:
        done = subprocess.run(
            [*command, *map(str, bounds)], input=data, capture_output=True, timeout=limits.pdf_seconds + 5, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise TooLarge(f"the PDF takes longer than {limits.pdf_seconds} s to read", "file") from error
    answer: dict[str, Any] = json.loads(done.stdout) if done.stdout else {"large": "it takes too much to read"}
    if "large" in answer:
        raise TooLarge(f"the PDF is too large: {answer['large']}", "file")
    if "broken" in answer:
        raise UnreadableDocument(f"the PDF cannot be read: {answer['broken']}", "file")
    return answer["title"], answer["text"]


READERS: dict[str, Callable[[bytes, ReadConfig], tuple[str, str]]] = {
    ".md": read_marked,
    ".rst": read_marked,
    ".html": read_html,
    ".txt": read_plain,
    ".pdf": read_pdf,
}


def decoded(data: bytes) -> str:
    """Text in UTF-8, or by its byte order mark, or else in Windows-1252; every line end becomes LF.

    Raises UnreadableDocument for what is no text.
    """
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    if len(CONTROL.findall(text[:100_000])) > len(text[:100_000]) / 1_000 or "\x00" in text:
        raise UnreadableDocument("the file is binary, not text", "file")
    return CONTROL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
