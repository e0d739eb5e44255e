"""What is being written to an embedded index, on disk beside it: a process that is killed on the way finishes later."""

import base64
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rag.payload import payloads, to_passage
from rag.sparse import SparseVector
from rag.store import Entry


class Pending:
    """The entries of one write, in the file `writing.jsonl` of an index's folder: all of them or none."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "writing.jsonl"

    def save(self, entries: Sequence[Entry]) -> None:
        """Durable on return, and instead of what was there."""
        part = self._path.with_suffix(".part")
        with part.open("w", encoding="utf-8") as file:
            for entry, payload in zip(entries, payloads([e.passage for e in entries]), strict=True):
                vector = base64.b64encode(entry.vector.astype(np.float32).tobytes()).decode()
                line = [payload, vector, entry.sparse.indices, entry.sparse.values]
                file.write(json.dumps(line, default=float) + "\n")  # a scanner's scores may be NumPy's
            file.flush()
            os.fsync(file.fileno())
        part.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def load(self) -> list[Entry]:
        """What was saved and not cleared."""
        if not self._path.exists():
            return []
        with self._path.open(encoding="utf-8") as file:
            return [to_entry(line) for line in file]

    def clear(self) -> None:
        self._path.unlink(missing_ok=True)


def to_entry(line: str) -> Entry:
    payload, vector, indices, values = json.loads(line)
    dense = np.frombuffer(base64.b64decode(vector), np.float32)
    return Entry(to_passage(payload), dense, SparseVector(tuple(indices), tuple(values)))
