"""Ratings in a JSON-lines file, which replicas on one host may share; one with an id is in it once."""

import asyncio
import fcntl
import hashlib
import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.append import append
from app.errors import KeyReused
from rag.errors import TooLarge

MAX_ROW_BYTES = 32_000
REMEMBERED = 100_000
"""The newest ids of the file; a rating whose id is older is taken for a new one."""
MEANT = ("trace_id", "rating", "comment")
"""What two ratings of one id must have in common."""

Key = tuple[str | None, str | None, str]


class FileFeedback:
    """Role Feedback. A row is one append, on disk before `append` returns; a lock on the file keeps replicas apart.

    Each replica reads what is new in the file before it writes a row that has an id, in a thread of its own.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.thread = ThreadPoolExecutor(1, "feedback")
        self.kept: OrderedDict[Key, bytes] = OrderedDict()
        self.inode, self.end = 0, 0

    async def append(self, row: Mapping[str, Any]) -> None:
        """Write one row durably, unless its caller's row of its `id` is there, where it has one.

        Raises TooLarge over MAX_ROW_BYTES, and KeyReused where that row says something else.
        """
        data = json.dumps(row).encode() + b"\n"
        if len(data) > MAX_ROW_BYTES:
            raise TooLarge(f"A row of feedback may have {MAX_ROW_BYTES} bytes.")
        await asyncio.get_running_loop().run_in_executor(self.thread, self.write, row, data)

    def write(self, row: Mapping[str, Any], data: bytes) -> None:
        if row.get("id") is None:
            append(self.path, data)
            return
        with self.locked():
            self.refresh()
            said = self.kept.get(key(row))
            if said is None:
                append(self.path, data)
            elif said != meaning(row):
                raise KeyReused("This key was given to another rating.", "Idempotency-Key")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Alone among all replicas of this host: a lock beside the file, which the end of its process releases."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lock = os.open(self.path.with_name(f"{self.path.name}.lock"), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def refresh(self) -> None:
        """Read the rows that are new, as far as they are whole."""
        if not self.path.exists():
            self.kept, self.inode, self.end = OrderedDict(), 0, 0
            return
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self.inode or status.st_size < self.end:
                self.kept, self.inode, self.end = OrderedDict(), status.st_ino, 0
            file.seek(self.end)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self.end += len(line)
                self.remember(line)

    def remember(self, line: bytes) -> None:
        """Note a row's id. What a crash left of a row has none."""
        try:
            row = json.loads(line)
        except ValueError:
            return
        if isinstance(row, dict) and row.get("id") is not None:
            self.kept[key(row)] = meaning(row)
            if len(self.kept) > REMEMBERED:
                self.kept.popitem(last=False)


def key(row: Mapping[str, Any]) -> Key:
    """An id is its caller's own."""
    return row.get("tenant"), row.get("user"), row["id"]


def meaning(row: Mapping[str, Any]) -> bytes:
    """A digest: comments are long, and many are remembered."""
    said = json.dumps([row.get(name) for name in MEANT])
    return hashlib.blake2b(said.encode(), digest_size=16).digest()
