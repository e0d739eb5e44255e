"""Lines of one file, appended by many processes at once."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from app.append import append

LINE = b"x" * 20_000 + b"\n"
"""Over several pages: another's look at the file may come when only some of them are there."""


def test_a_line_that_is_just_being_written_is_not_taken_for_what_a_crash_left(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: append(path, LINE), range(400)))
    assert path.read_bytes() == LINE * 400
