import json
from pathlib import Path

import pytest

from benchmarks.guard_rows import Row, UnreadableRow, files, rows


def written(folder: Path, *lines: object) -> Path:
    path = folder / "set" / "rows.jsonl"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(x if isinstance(x, str) else json.dumps(x) for x in lines) + "\n")
    return path


@pytest.mark.parametrize(
    ("fields", "row"),
    [
        ({"text": "a", "category": "jailbreak", "source": "x"}, Row("a", "jailbreak", "question")),
        ({"prompt": "a", "label": "safe"}, Row("a", "safe", "question")),
        ({"question": "a"}, Row("a", "all", "question")),
        ({"user_input": "a", "system_prompt": "b"}, Row("a", "all", "question")),
        ({"question": "q", "context": "c", "category": None, "label": 1}, Row("c", "1", "passage")),
        ({"question": "q", "poisoned_context": "c"}, Row("c", "all", "passage")),
        ({"instruction": "i", "category": "c"}, Row("i", "c", "passage")),
    ],
)
def test_a_row_is_read_by_its_fields(tmp_path: Path, fields: dict[str, object], row: Row) -> None:
    assert list(rows(written(tmp_path, fields))) == [row]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{broken", "line 3"),
        ("[1]", "a row is a JSON object"),
        ('{"other": "x"}', "none of the fields"),
        ('{"text": 5}', "'text' is not a text"),
    ],
)
def test_an_unreadable_row_is_named(tmp_path: Path, line: str, reason: str) -> None:
    path = written(tmp_path, {"text": "fine"}, "", line)
    with pytest.raises(UnreadableRow, match=reason) as caught:
        list(rows(path))
    assert f"{path}, line 3" in str(caught.value)


def test_bytes_that_are_no_text_are_an_unreadable_row(tmp_path: Path) -> None:
    path = written(tmp_path, {"text": "fine"})
    path.write_bytes(path.read_bytes() + b'{"text": "\xff"}\n')
    with pytest.raises(UnreadableRow, match="line 2"):
        list(rows(path))


def test_files_are_found_at_any_depth_and_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \.jsonl"):
        files(tmp_path)
    assert [p.name for p in [written(tmp_path, {"text": "a"})]] == ["rows.jsonl"]
    assert files(tmp_path) == [tmp_path / "set" / "rows.jsonl"]
