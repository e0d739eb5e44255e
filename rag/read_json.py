"""JSON to documents: records with a text, BEIR's lines, any other object by its fields, and Jupyter notebooks."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from rag.errors import TooLarge, UnreadableDocument
from rag.read import MAX_METADATA, Content, iso_date

MAX_ID = 256
MAX_VALUE = 1_000
"""Characters kept of a metadata value."""
MAX_OUTPUT = 2_000
"""Characters kept of what a notebook's cell printed."""


def parse(text: str) -> Any:
    """The value. Raises UnreadableDocument for what is no JSON, or is nested too deeply to be read."""
    try:
        return json.loads(text)
    except RecursionError as error:
        raise UnreadableDocument("the JSON is nested too deeply", "file") from error
    except ValueError as error:
        raise UnreadableDocument(f"the JSON is broken: {error}", "file") from error


def json_contents(text: str, max_chars: int) -> list[Content]:
    """A document for an object, or for each object of an array. Raises UnreadableDocument, and TooLarge for objects
    that become more than `max_chars` characters together.
    """
    value = parse(text)
    records = value if isinstance(value, list) and all(isinstance(item, dict) for item in value) else [value]
    out: list[Content] = []
    try:
        for item in records:
            out.append(record(item, max_chars))
            max_chars -= len(out[-1].text)
    except RecursionError as error:
        raise UnreadableDocument("the JSON is nested too deeply", "file") from error
    return out


def record(value: Any, max_chars: int) -> Content:
    """An object with `text` and perhaps `title`, `url`, `id` or `_id` and `metadata`; else all its fields as lines."""
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        title = value.get("title") if isinstance(value, dict) else ""
        lines = bounded(fields(value, ""), max_chars)
        return Content("\n".join(lines), title if isinstance(title, str) else "", id=key_of(value))
    given = value.get("metadata")
    known = {str(k): plain(v) for k, v in given.items()} if isinstance(given, dict) else {}
    for name in ("tags", "date", "source"):
        if value.get(name):
            known[name] = plain(value[name])
    if "date" in known and not (day := iso_date(known["date"])):
        del known["date"]
    elif "date" in known:
        known["date"] = day
    kept = {k: v[:MAX_VALUE] for k, v in list(known.items())[:MAX_METADATA]}
    return Content(value["text"], text_of(value, "title"), kept, key_of(value), text_of(value, "url"))


def key_of(value: Any) -> str:
    """What the object calls itself: `_id`, as in BEIR's sets, or `id`."""
    found = value.get("_id", value.get("id", "")) if isinstance(value, dict) else ""
    return str(found) if isinstance(found, str | int) and len(str(found)) <= MAX_ID else ""


def text_of(value: dict[str, Any], name: str) -> str:
    found = value.get(name)
    return found if isinstance(found, str) else ""


def plain(value: Any) -> str:
    """A metadata value as text: a list joined by commas."""
    if isinstance(value, list):
        return ",".join(str(item) for item in value)
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def fields(value: Any, path: str) -> Iterator[str]:
    """Every scalar of the value in a line of its own, after the path to it."""
    if isinstance(value, dict):
        for k, v in value.items():
            yield from fields(v, f"{path}.{k}" if path else str(k))
    elif isinstance(value, list):
        for v in value:
            yield from fields(v, path)
    elif value not in (None, ""):
        yield f"{path}: {value}" if path else str(value)


def bounded(lines: Iterable[str], max_chars: int) -> Iterator[str]:
    """The lines. Raises TooLarge once they have more than `max_chars`: each repeats its path, however long."""
    for line in lines:
        max_chars -= len(line)
        if max_chars < 0:
            raise TooLarge("the file's fields and the paths to them have too many characters", "file")
        yield line


def notebook(text: str) -> Content:
    """A notebook's cells in order; raises UnreadableDocument when it is none."""
    value = parse(text)
    cells = value.get("cells") if isinstance(value, dict) else None
    if not isinstance(cells, list):
        raise UnreadableDocument("the file is no notebook of version 4 or later", "file")
    parts = [part for cell in cells if isinstance(cell, dict) for part in cell_parts(cell)]
    title = next((line.lstrip("# ") for part in parts for line in part.split("\n")[:1] if line.startswith("#")), "")
    return Content("\n\n".join(parts), title)


def cell_parts(cell: dict[str, Any]) -> list[str]:
    source = joined(cell.get("source")).strip("\n")
    if not source.strip():
        return []
    if cell.get("cell_type") != "code":
        return [source]
    outputs = cell.get("outputs")
    printed = "".join(output(item) for item in outputs if isinstance(item, dict)) if isinstance(outputs, list) else ""
    return [fenced(source), *([fenced(printed[:MAX_OUTPUT])] if printed.strip() else [])]


def output(item: dict[str, Any]) -> str:
    """What a cell printed or returned, as text; pictures are left out."""
    data = item.get("data")
    return joined(item.get("text") or (data.get("text/plain") if isinstance(data, dict) else ""))


def joined(lines: Any) -> str:
    return "".join(map(str, lines)) if isinstance(lines, list) else str(lines or "")


def fenced(code: str) -> str:
    """The code in a fence longer than any within it."""
    longest = max(map(len, re.findall("`+", code)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{code.strip(chr(10))}\n{fence}"
