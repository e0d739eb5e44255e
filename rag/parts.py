"""Parquet parts of an index version: immutable files, a row a passage, with its vectors and what it was made from.

A part is whole or absent, and holds documents whole; a later version links the parts that it can use again.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from rag.sparse import SparseVector
from rag.store import Entry
from rag.token_files import beside, save_tokens
from rag.tokens import PackedTokens
from rag.types import Passage

ROWS = 2_000
"""Passages of a part: what a killed job embeds again at most."""

FIELDS = ("id", "document_id", "text", "title", "url", "tenant", "start", "end")
"""What a row holds as it stands in the passage."""

Key = tuple[str, str]
"""An item and the hash of its content and settings."""


def schema(dimensions: int) -> pa.Schema:
    """The columns of a part for vectors of `dimensions`."""
    text = {name: pa.string() for name in ("item", "hash", "id", "document_id", "text", "title", "url", "tenant")}
    return pa.schema(
        {
            **text,
            "headings": pa.list_(pa.string()),
            "groups": pa.list_(pa.string()),
            "metadata": pa.string(),
            "scores": pa.string(),
            "start": pa.int64(),
            "end": pa.int64(),
            "same": pa.binary(),
            "near": pa.binary(),
            "vector": pa.list_(pa.float32(), dimensions),
            "indices": pa.list_(pa.uint32()),
            "values": pa.list_(pa.float32()),
        }
    )


def row(passage: Passage, key: Key) -> dict[str, Any]:
    """The columns that come from the passage itself."""
    return {
        "item": key[0],
        "hash": key[1],
        **{name: getattr(passage, name) for name in FIELDS},
        "headings": list(passage.headings),
        "groups": list(passage.groups),
        "metadata": json.dumps(dict(passage.metadata), ensure_ascii=False),
    }


def to_entry(row: dict[str, Any], vector: np.ndarray[Any, Any], others: Mapping[str, Any]) -> Entry:
    """What the store writes for a row; `others` are the Passage's fields for the rows that it stands for."""
    given: dict[str, Any] = {name: row[name] for name in FIELDS} | dict(others)
    given |= {"headings": tuple(row["headings"]), "groups": tuple(row["groups"])}
    passage = Passage(**given, metadata=json.loads(row["metadata"]), scores=json.loads(row["scores"]))
    return Entry(passage, vector, SparseVector(tuple(row["indices"]), tuple(row["values"])))


class PartWriter:
    """Collects rows and writes them to `folder` a part at a time, with at most `token_bytes` of token vectors."""

    def __init__(self, folder: Path, dimensions: int, token_bytes: int = 0) -> None:
        self._folder = folder
        self._schema = schema(dimensions)
        self._rows: list[dict[str, Any]] = []
        self._tokens: dict[bytes, PackedTokens] = {}
        self._room = token_bytes

    def add(self, rows: Iterable[dict[str, Any]], tokens: Mapping[bytes, PackedTokens]) -> None:
        """Take whole documents, and token vectors by their texts' keys."""
        self._rows += rows
        for key, one in tokens.items():
            if self._room >= one.nbytes:
                self._tokens[key] = one
                self._room -= one.nbytes
        if len(self._rows) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Write what is held."""
        if not self._rows:
            return
        path = new_part(self._folder)
        if self._tokens:
            save_tokens(self._tokens, path)
        save(pa.Table.from_pylist(self._rows, schema=self._schema), path)
        self._rows, self._tokens = [], {}


def new_part(folder: Path) -> Path:
    """A name that no part has."""
    return folder / f"{uuid.uuid4().hex}.parquet"


def save(table: pa.Table, path: Path) -> None:
    """Write a part that is on disk whole before it has its name."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        pq.write_table(table, file, compression="zstd")
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def keys(path: Path) -> set[Key]:
    """The items that a part holds."""
    found = pq.read_table(path, columns=["item", "hash"]).group_by(["item", "hash"]).aggregate([])
    return set(zip(found["item"].to_pylist(), found["hash"].to_pylist(), strict=True))


def reuse(folders: Iterable[Path], into: Path, wanted: set[Key], dimensions: int) -> set[Key]:
    """Link the parts of other versions that hold wanted items; return the items found.

    A part that is mostly out of date is written anew with what is wanted of it.
    """
    found: set[Key] = set()
    for path in (path for folder in folders for path in sorted((folder / "passages").glob("*.parquet"))):
        if pq.read_schema(path).field("vector").type.list_size != dimensions:
            continue
        held = keys(path)
        new = (held & wanted) - found
        if not new:
            continue
        whole = len(new) * 2 >= len(held)
        to = into / path.name if whole else new_part(into)
        if beside(path).exists():
            link(beside(path), beside(to))
        if whole:
            link(path, to)
        else:
            table = pq.read_table(path)
            mask = [pair in new for pair in zip(table["item"].to_pylist(), table["hash"].to_pylist(), strict=True)]
            save(table.filter(pa.array(mask)), to)
        found |= new
    return found


def link(path: Path, to: Path) -> None:
    """The same file under another name; a copy where the file system has no links."""
    try:
        os.link(path, to)
    except OSError:
        shutil.copyfile(path, to.with_suffix(".part"))
        to.with_suffix(".part").replace(to)


def paths(folder: Path) -> list[Path]:
    """A version's parts, in a fixed order."""
    return sorted((folder / "passages").glob("*.parquet"))


def documents(path: Path) -> Iterator[tuple[list[int], list[dict[str, Any]], np.ndarray[Any, Any]]]:
    """Each document of a part: row numbers, rows and vectors."""
    table = pq.read_table(path)
    vectors = pc.list_flatten(table["vector"]).to_numpy().reshape(table.num_rows, -1)
    rows = table.drop(["vector", "same", "near"]).to_pylist()
    begin = 0
    for n in range(1, len(rows) + 1):
        if n == len(rows) or owner(rows[n]) != owner(rows[begin]):
            yield list(range(begin, n)), rows[begin:n], vectors[begin:n]
            begin = n


def owner(row: dict[str, Any]) -> tuple[str, ...]:
    """Whose passage a row is."""
    return row["item"], row["hash"], row["tenant"], row["document_id"]
