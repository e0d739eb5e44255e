"""Files to documents: text and markup, HTML, PDF, Word, notebooks, JSON and source code.

Not by llama-index's own readers: those take paths, bound nothing and flatten headings. Every function blocks.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from rag.errors import TooLarge, UnreadableDocument, UnsupportedMedia
from rag.outline import sections
from rag.outline_code import CODE
from rag.read_html import html_to_text
from rag.types import Document

MAGIC = {
    b"%PDF-": "a PDF file", b"PK\x03\x04": "a ZIP archive or Office file", b"\x1f\x8b": "a gzip file",
    b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"GIF8": "a GIF image", b"\x7fELF": "a program",
    b"\xd0\xcf\x11\xe0": "an old Office file", b"{\\rtf": "an RTF file",
}  # fmt: skip
"""First bytes of files that people name wrongly."""
EXPECTED = {".pdf": "a PDF file", ".docx": "a ZIP archive or Office file"}
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
MARKS = (
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip
FRONT_MATTER = re.compile(r"\A---\n(.{0,16000}?)\n---\n", re.DOTALL)
"""What is longer is text like any other: YAML takes several times as long to read as all else."""
SCALARS = str | int | float | date
MAX_TITLE = 200
MAX_METADATA = 32


class ReadConfig(BaseModel):
    """What a file may cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_bytes: int = Field(8_000_000, ge=1, description="Largest file, in bytes.")
    max_chars: int = Field(2_000_000, ge=1, description="Longest text of a file, in characters.")
    max_pages: int = Field(1_000, ge=1, description="Most pages of a PDF.")
    pdf_seconds: int = Field(30, ge=1, description="Longest time to read a PDF or Word file, in seconds.")
    pdf_bytes: int = Field(
        2_000_000_000, ge=500_000_000, description="Address space to read a PDF or Word file in, in bytes."
    )


@dataclass(frozen=True, slots=True)
class Content:
    """What a reader found: `id` and `url` only where the file itself names them."""

    text: str
    title: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    id: str = ""
    url: str = ""


def read_file(name: str, data: bytes, limits: ReadConfig) -> Document:
    """`read_documents` of a file of a type that holds one document."""
    return read_documents(name, data, limits)[0]


def read_documents(name: str, data: bytes, limits: ReadConfig) -> list[Document]:
    """The documents in a file's content: one, or one for each object of a JSON file.

    The id of a document is what its object says, else `name`, numbered where there are several; its title is what it
    calls itself, else the file's name. Raises UnsupportedMedia for a type no reader takes, TooLarge over `limits`, and
    UnreadableDocument for a file that is broken, encrypted, empty or not of the type its name says.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in READERS:
        named = ", ".join(name for name in READERS if name not in CODE)
        raise UnsupportedMedia(
            f"{suffix or 'a file without extension'} cannot be read: send {named} or source code", "file"
        )
    if len(data) > limits.max_bytes:
        raise TooLarge(f"the file has more than {limits.max_bytes:,} bytes", "file")
    if not data.strip():
        raise UnreadableDocument("the file is empty", "file")
    kind = next((kind for magic, kind in MAGIC.items() if data.startswith(magic)), None)
    if kind and kind != EXPECTED.get(suffix):
        raise UnreadableDocument(f"the file is named {suffix} but is {kind}", "file")
    found = READERS[suffix](data, limits)
    names = [content.id for content in found if content.id]
    if len(set(names)) < len(names):
        raise UnreadableDocument(f"two of its documents have the id {Counter(names).most_common(1)[0][0]!r}", "file")
    if sum(len(content.text) for content in found) > limits.max_chars:
        raise TooLarge(f"the file's text has more than {limits.max_chars:,} characters", "file")
    if not any(content.text.strip() for content in found):
        raise UnreadableDocument("the file holds no text", "file")
    return [document(name, n if len(found) > 1 else 0, content) for n, content in enumerate(found, 1) if content.text]


def document(name: str, number: int, content: Content) -> Document:
    """The document that `content` of the file `name` becomes; `number` counts from 1 where there are several."""
    title = " ".join(content.title.split()) or PurePosixPath(name).stem
    known = dict(list(content.metadata.items())[:MAX_METADATA])
    key = content.id or (f"{name}#{number}" if number else name)
    known = {whole(name): whole(value) for name, value in known.items()}
    return Document(whole(key), whole(content.text), whole(title[:MAX_TITLE]), whole(content.url), known)


def whole(text: str) -> str:
    """`text` with a replacement character for each half of a surrogate pair, which JSON can hold and UTF-8 cannot."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def read_marked(data: bytes, limits: ReadConfig) -> list[Content]:
    """Markdown or reStructuredText; the title is its first heading. YAML front matter leaves its tags and date."""
    text = decoded(data)
    front = FRONT_MATTER.match(text)
    text = text[front.end() :] if front else text
    headings = (section.headings[-1] for section in sections(text[: limits.max_chars]) if section.headings)
    return [Content(text, next(headings, ""), front_matter(front[1]) if front else {})]


class PlainLoader(yaml.SafeLoader):
    """Refuses aliases: merged over and over, a few lines of YAML stand for a mapping of any size."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(problem="aliases are not read")
        return super().compose_node(parent, index)


def front_matter(source: str) -> dict[str, str]:
    """`tags`, joined by commas, and `date`, in ISO 8601, of YAML front matter that has them; else nothing."""
    try:
        found = PlainLoader(source).get_single_data()
        return tags_and_date(found) if isinstance(found, dict) else {}
    except (yaml.YAMLError, LookupError, TypeError, AttributeError, ValueError, RecursionError):  # a wrong !!tag: any
        return {}


def tags_and_date(found: dict[str, Any]) -> dict[str, str]:
    """`front_matter` of its mapping. Raises ValueError for a number that has too many digits to be written."""
    out: dict[str, str] = {}
    tags = found.get("tags")
    if isinstance(tags, str | list):
        parts = tags.split(",") if isinstance(tags, str) else [str(tag) for tag in tags if isinstance(tag, SCALARS)]
        out["tags"] = ",".join(part.strip() for part in parts if part.strip())
    if day := iso_date(found.get("date")):
        out["date"] = day
    return out


def iso_date(value: object) -> str:
    """An ISO 8601 date of a date or of a text that is one; empty for anything else."""
    if isinstance(value, date):
        return value.isoformat()
    for kind in (date, datetime) if isinstance(value, str) else ():
        try:
            return kind.fromisoformat(str(value).strip()).isoformat()
        except ValueError:
            continue
    return ""


def read_plain(data: bytes, limits: ReadConfig) -> list[Content]:
    """Plain text and source code have no title of their own."""
    return [Content(decoded(data))]


def read_html(data: bytes, limits: ReadConfig) -> list[Content]:
    """HTML as markdown."""
    title, text = html_to_text(decoded(data))
    return [Content(text, title)]


def read_pdf(data: bytes, limits: ReadConfig) -> list[Content]:
    """A PDF's text layer."""
    from rag.read_bounded import bounded

    return [bounded("pdf", data, limits)]


def read_docx(data: bytes, limits: ReadConfig) -> list[Content]:
    """A Word file as markdown: headings, lists and tables."""
    from rag.read_bounded import bounded

    return [bounded("docx", data, limits)]


def read_notebook(data: bytes, limits: ReadConfig) -> list[Content]:
    """A Jupyter notebook as markdown; code and its printed output are fenced."""
    from rag.read_json import notebook

    return [notebook(decoded(data))]


def read_json(data: bytes, limits: ReadConfig) -> list[Content]:
    """A JSON object, or an array of them: a document each."""
    from rag.read_json import json_contents

    return json_contents(decoded(data), limits.max_chars)


def read_json_lines(data: bytes, limits: ReadConfig) -> list[Content]:
    """A JSON object a line: a document each. Lines cut from a marked file have no mark; JSON's first bytes tell."""
    from rag.read_json import json_contents

    found: list[Content] = []
    left = limits.max_chars
    for line in filter(str.strip, decoded(data, json.detect_encoding(data)).split("\n")):
        more = json_contents(line, left)
        left -= sum(len(content.text) for content in more)
        found += more
    return found


READERS: dict[str, Callable[[bytes, ReadConfig], list[Content]]] = {
    ".md": read_marked,
    ".rst": read_marked,
    ".html": read_html,
    ".txt": read_plain,
    ".pdf": read_pdf,
    ".docx": read_docx,
    ".ipynb": read_notebook,
    ".json": read_json,
    ".jsonl": read_json_lines,
    **dict.fromkeys(CODE, read_plain),
}


def decoded(data: bytes, unmarked: str = "utf-8") -> str:
    """Text by its mark, else in the encoding `unmarked`; a line that is not UTF-8 in Windows-1252. Line ends become LF.

    Raises UnreadableDocument for what is no text.
    """
    encoding = next((name for mark, name in MARKS if data.startswith(mark)), unmarked)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text = "".join(mixed_lines(data))
    if len(CONTROL.findall(text[:100_000])) > len(text[:100_000]) / 1_000 or "\x00" in text:
        raise UnreadableDocument("the file is binary, not text", "file")
    return CONTROL.sub("", text).replace("\r\n", "\n").replace("\r", "\n")


def mixed_lines(data: bytes) -> Iterator[str]:
    """Each line in the encoding it is in: files grow from pieces of both."""
    for line in data.removeprefix(b"\xef\xbb\xbf").splitlines(keepends=True):
        try:
            yield line.decode()
        except UnicodeDecodeError:
            yield line.decode("cp1252", errors="replace")
