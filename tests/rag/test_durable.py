"""What the index rests on is on disk before it has its name."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from rag.edge_pending import Pending
from rag.manifest import write_atomically
from rag.parts import save
from rag.sparse import SparseVector
from rag.store import Entry
from rag.token_files import save_tokens
from rag.tokens import PackedTokens
from rag.types import Passage

ENTRY = Entry(Passage("a:0", "a", "text"), np.ones(4, np.float32), SparseVector())
TOKENS = PackedTokens(np.zeros((1, 4), np.int8), np.zeros(1, np.float32), np.zeros((1, 2), np.int32))


@pytest.mark.parametrize(
    ("write", "steps"),
    [
        (lambda folder: write_atomically(folder / "current", "v1"), ["file", "name", "folder"]),
        (lambda folder: Pending(folder).save([ENTRY]), ["file", "name", "folder"]),
        (lambda folder: save(pa.table({"n": [1]}), folder / "a.parquet"), ["file", "name"]),
        (lambda folder: save_tokens({b"k" * 16: TOKENS}, folder / "a.parquet"), ["file", "name"]),
    ],
    ids=["atomic", "pending", "part", "tokens"],
)
def test_a_file_is_on_disk_whole_before_it_has_its_name(
    write: Callable[[Path], None], steps: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    sizes: list[int] = []
    fsync, replace = os.fsync, Path.replace

    def synced(file: int) -> None:
        found = os.fstat(file)
        done.append("folder" if stat.S_ISDIR(found.st_mode) else "file")
        sizes.append(found.st_size)
        fsync(file)

    def named(self: Path, target: Path) -> Path:
        done.append("name")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", named)
    write(tmp_path)
    [path] = tmp_path.iterdir()
    assert (done, sizes[0]) == (steps, path.stat().st_size)
