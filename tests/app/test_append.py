"""Lines of one file, appended by many processes at once."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.append import append

LINE = b"x" * 20_000 + b"\n"
"""Over several pages: another's look at the file may come when only some of them are there."""


def test_a_line_that_is_just_being_written_is_not_taken_for_what_a_crash_left(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: append(path, LINE), range(400)))
    assert path.read_bytes() == LINE * 400


def test_a_disk_that_took_only_part_of_a_line_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, data: write(file, data[:-1]))
    with pytest.raises(OSError, match="only part"):
        append(tmp_path / "rows.jsonl", b"a row\n")
