"""What the sources hold: every item with a hash of all that its passages depend on. Imports nothing heavy.

An item is a file, or a line of a .jsonl file.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rag.errors import InvalidInput
from rag.manifest import Unreadable, digest
from rag.read import MARKS, READERS, ReadConfig

FORMAT = "6"
"""Changes when the passages of an unchanged item do; then every item counts as changed."""
MAX_KEY = 256
CONFLICT = "another document has the id"
"""How the reason begins why an item waits for another to vanish."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What a run gives to all documents of a source; `name` is the source's, the first part of its items' keys."""

    name: str
    tenant: str = "default"
    groups: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    url_prefix: str = ""


@dataclass(frozen=True, slots=True)
class Item:
    """`size` bytes of the file `path` from `begin` on, as the document or documents `key`."""

    key: str
    path: str
    hash: str
    origin: Origin
    begin: int = 0
    size: int = 0


@dataclass(slots=True)
class Scan:
    """Items by their keys, and what could not even be looked at."""

    items: dict[str, Item] = field(default_factory=dict)
    unreadable: dict[str, Unreadable] = field(default_factory=dict)
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)

    def hashes(self) -> dict[str, str]:
        return {key: item.hash for key, item in self.items.items()}


def scan(sources: list[Path], origin: Origin, settings: str, limits: ReadConfig) -> Scan:
    """Look at all sources; `settings` name what else passages depend on. Raises InvalidInput for a source that is
    missing, or when two have the same name: then their documents would have the same ids.
    """
    out = Scan()
    for source in sources:
        root = source.resolve()
        named = Origin(root.name, origin.tenant, origin.groups, origin.tags, origin.url_prefix)
        if not root.exists():
            raise InvalidInput(f"there is no file or folder {source}", "sources")
        if root.name in out.sources:
            other = out.sources[root.name]["path"]
            raise InvalidInput(f"{source} and {other} would both give documents of the name {root.name}", "sources")
        out.sources[root.name] = {"path": str(root), **asdict(named)}
        prefix = digest(repr([named.tenant, named.groups, named.tags, named.url_prefix, settings, FORMAT]).encode())
        for path, key in walk(root):
            look(out, path, key, (named, prefix.encode()), limits)
    return out


def look(out: Scan, path: Path, key: str, origin: tuple[Origin, bytes], limits: ReadConfig) -> None:
    """Add the file's items to `out`."""
    named, prefix = origin
    try:
        size = path.stat().st_size
        if path.suffix.lower() == ".jsonl":
            for item in lines(path, key, origin, out, limits):
                out.items[item.key] = item
        elif size > limits.max_bytes:
            reason = f"the file has more than {limits.max_bytes:,} bytes"
            out.unreadable[key] = Unreadable(hash=f"{size} bytes", reason=reason)
        else:
            out.items[key] = Item(key, str(path), digest(prefix, path.read_bytes()), named, 0, size)
    except OSError as error:
        out.unreadable[key] = Unreadable(hash="", reason=f"the file cannot be opened: {error.strerror}")


def lines(path: Path, key: str, origin: tuple[Origin, bytes], out: Scan, limits: ReadConfig) -> Iterator[Item]:
    """The lines of a .jsonl file, one in memory at a time. A line over the limit ends the reading."""
    named, prefix = origin
    number, begin = 0, 0
    for line, size in split(path, limits.max_bytes + 1):
        number += 1
        if size > limits.max_bytes:
            reason = f"line {number} has more than {limits.max_bytes:,} bytes; nothing was read from there on"
            out.unreadable[key] = Unreadable(hash=f"{path.stat().st_size} bytes", reason=reason)
            return
        given = line_id(line)
        name = f"{key}#id={given}" if given else f"{key}#{number}"
        if name in out.items:
            reason = f"line {number} of the file has the id of an earlier line"
            out.unreadable[f"{name} (line {number})"] = Unreadable(hash=digest(prefix, line.strip()), reason=reason)
        elif line.strip():
            yield Item(name, str(path), digest(prefix, line.strip()), named, begin, size)
        begin += size
    if not number:
        out.unreadable[key] = Unreadable(hash="empty", reason="the file is empty")


def split(path: Path, most: int) -> Iterator[tuple[bytes, int]]:
    """The lines of a file, each with its size in the file, up to `most` bytes or characters of it at once.

    They are in UTF-8 where a byte order mark says that the file is in UTF-16 or UTF-32, else as they are.
    """
    with path.open("rb") as file:
        head = file.read(4)
        mark = next((name for mark, name in MARKS if head.startswith(mark)), "")
        if mark not in ("utf-16", "utf-32"):
            file.seek(0)
            while line := file.readline(most):
                yield line, len(line)
            return
    encoding = f"{mark}-le" if head[0] == 0xFF else f"{mark}-be"
    with path.open(encoding=encoding, errors="replace", newline="\n") as wide:  # what is broken keeps its size
        while text := wide.readline(most):
            yield text.removeprefix("\ufeff").encode(), len(text.encode(encoding))


def line_id(line: bytes) -> str:
    """What the line's object calls itself; empty when it does not, or is no object."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return ""
    name = found.get("_id", found.get("id", "")) if isinstance(found, dict) else ""
    return str(name) if isinstance(name, str | int) and len(str(name)) <= MAX_KEY else ""


def walk(root: Path) -> Iterator[tuple[Path, str]]:
    """The readable files of a source with their keys, in order, but the hidden: a file itself, or those of a folder.

    Links are followed; a folder that links lead to again and again is looked at once. A folder that cannot be opened
    is given itself, for the reading to fail.
    """
    if root.is_file():
        yield root, root.name
        return
    seen: set[tuple[int, int]] = set()
    pending = [(root, root.name)]
    while pending:
        folder, key = pending.pop()
        status = folder.stat()
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        try:
            names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        except OSError:
            yield folder, key
            continue
        folders = []
        for path in (folder / name for name in names):
            if path.is_dir():
                folders.append((path, f"{key}/{path.name}"))
            elif path.suffix.lower() in READERS and (path.is_file() or path.is_symlink()):
                yield path, f"{key}/{path.name}"
        pending += reversed(folders)


def gone_keys(known: Mapping[str, Any], names: Mapping[str, Any]) -> set[str]:
    """The keys among `known` that belong to one of the sources `names`."""
    within = tuple(f"{name}#" if name.lower().endswith(".jsonl") else f"{name}/" for name in names)
    return {key for key in known if key in names or key.startswith(within)}
