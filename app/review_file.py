"""The review queue in a JSON-lines file, which replicas on one host may share."""

import asyncio
import json
import logging
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from app.append import append
from app.review_queue import Entry, Fold, Listing, Review, Row

log = logging.getLogger("raglan.app")
T = TypeVar("T")

MAX_ROW_BYTES = 128_000
LOG_EVERY = 100
"""Dropped rows between two lines of the log: who floods the queue shall not flood the log, too."""


class FileReviews:
    """Role ReviewQueue. Only where its rows stand is kept in memory, and only what is new in the file is read.

    Over `max_bytes` flagged exchanges are dropped, counted and logged; decisions are still taken. A file that was moved
    away is begun anew. All of its work runs in one thread of its own: a disk that hangs stops nothing else.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.max_bytes = max_bytes
        self.dropped = 0
        self.thread = ThreadPoolExecutor(1, "reviews")
        self.fold = Fold()
        self.inode, self.end = 0, 0

    async def append(self, row: Row) -> bool:
        """Write one row durably; False where the queue is full. Raises ValueError over MAX_ROW_BYTES."""
        data = json.dumps(row).encode() + b"\n"
        if len(data) > MAX_ROW_BYTES:
            raise ValueError(f"a row of the review queue has {len(data)} bytes")
        return await self.run(lambda: self.write(data, bounded=row["kind"] == "flagged"))

    async def listing(self) -> Listing:
        """Every entry up to now."""

        def read() -> Listing:
            size = self.refresh()
            return Listing(tuple(self.fold.entries.values()), size >= self.max_bytes)

        return await self.run(read)

    async def read(self, entries: Iterable[Entry]) -> list[Review]:
        """The rows of `entries`."""
        return await self.run(lambda: self.rows(entries))

    async def run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self.thread, work)

    def write(self, data: bytes, bounded: bool) -> bool:
        if bounded and self.size() + len(data) > self.max_bytes:
            self.dropped += 1
            if self.dropped % LOG_EVERY == 1:
                log.error("the review queue is full (%d bytes): %d rows dropped", self.max_bytes, self.dropped)
            return False
        append(self.path, data)
        return True

    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    def refresh(self) -> int:
        """Fold the lines that are new, as far as they are whole; return the file's size."""
        if not self.path.exists():
            self.fold, self.inode, self.end = Fold(), 0, 0
            return 0
        with self.path.open("rb") as file:
            status = os.fstat(file.fileno())
            if status.st_ino != self.inode or status.st_size < self.end:
                self.fold, self.inode, self.end = Fold(), status.st_ino, 0
            file.seek(self.end)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                if line.strip() and not self.fold.take(parsed(line), self.end):
                    log.error("%s: no row of a review queue at byte %d", self.path.name, self.end)
                self.end += len(line)
        return status.st_size

    def rows(self, entries: Iterable[Entry]) -> list[Review]:
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            found = [
                Review(row_at(file, e.flagged), None if e.decision is None else row_at(file, e.decision))
                for e in entries
                if row_at(file, e.flagged).get("id") == e.id
            ]
        return found


def row_at(file: BinaryIO, place: int) -> dict[str, Any]:
    """The row at a byte; empty where there is none."""
    file.seek(place)
    row = parsed(file.readline())
    return row if isinstance(row, dict) else {}


def parsed(line: bytes) -> Any:
    """A line's JSON; None where it is none."""
    try:
        return json.loads(line)
    except ValueError:
        return None
