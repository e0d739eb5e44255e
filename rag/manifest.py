"""What an index version was built from: sources, a hash of every item, settings, counts and the code that did it."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

NAME = "manifest.json"


class Unreadable(BaseModel):
    """An item that gave no passages, and why. Without a `hash` the next run reads it again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    hash: str
    reason: str


class Suspicious(BaseModel):
    """An indexed passage that reads like an instruction to the model, and its score in [0, 1]."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tenant: str
    document: str
    passage: str
    score: float


class Manifest(BaseModel):
    """A version's record; `items` and `unreadable` are by the item's key: the path from its source's name on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    created: str
    parent: str = ""
    collection: str
    sources: Mapping[str, Mapping[str, Any]] = {}
    items: Mapping[str, str] = {}
    unreadable: Mapping[str, Unreadable] = {}
    documents: int = 0
    passages: int = 0
    duplicates: int = 0
    suspicious: tuple[Suspicious, ...] = ()
    read: Mapping[str, Any] = {}
    chunk: Mapping[str, Any] = {}
    embed: Mapping[str, Any] = {}
    scanner: str = ""
    engine: Mapping[str, Any] = {}
    code: Mapping[str, str] = {}


def load_manifest(folder: Path) -> Manifest | None:
    """The manifest in a version's folder; None where it is missing or damaged: then everything counts as changed."""
    try:
        return Manifest.model_validate_json((folder / NAME).read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def save_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the file at once or not at all: a version with a manifest is whole."""
    write_atomically(folder / NAME, manifest.model_dump_json(indent=1))


def write_atomically(path: Path, text: str) -> None:
    """Replace a file by one that is on disk whole, and so is its name."""
    part = path.with_name(f".{path.name}.{os.getpid()}")
    with part.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def digest(*parts: bytes) -> str:
    """SHA-256 of the parts, each with its length before it."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()
