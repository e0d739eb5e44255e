"""The items of a source: each line of a .jsonl file, whatever it calls itself and whatever it is encoded in."""

import json
from pathlib import Path

import pytest

from rag.ingest_rows import documents
from rag.ingest_scan import Origin, Scan, scan
from rag.read import ReadConfig

LIMITS = ReadConfig(max_bytes=200)


def scanned(path: Path, data: bytes) -> Scan:
    path.write_bytes(data)
    return scan([path], Origin(""), "", LIMITS)


def test_a_nameless_line_never_has_the_id_of_a_named_one(tmp_path: Path) -> None:
    lines = [{"id": 2, "text": "One."}, {"text": "Two."}, {"id": "id=2", "text": "Three."}, {"id": "2", "text": "Four"}]
    found = scanned(tmp_path / "c.jsonl", "\n".join(map(json.dumps, lines)).encode())
    read = [document for item in found.items.values() for document in documents(item, LIMITS)]
    assert [(one.id, one.text) for one in read] == [("2", "One."), ("c.jsonl#2", "Two."), ("id=2", "Three.")]
    assert [one.reason for one in found.unreadable.values()] == ["line 4 of the file has the id of an earlier line"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_marked_lines_are_read_in_their_encoding(tmp_path: Path, encoding: str) -> None:
    texts = ["\u0a0a Ċ 日本", "", "a 🚀 rocket", "\ud800 half"]
    given = [json.dumps({"text": text}, ensure_ascii="half" in text) if text else "" for text in texts]
    mark = "" if encoding == "utf-8-sig" else "\ufeff"
    found = scanned(tmp_path / "c.jsonl", (mark + "\r\n".join(given)).encode(encoding))
    assert list(found.items) == ["c.jsonl#1", "c.jsonl#3", "c.jsonl#4"]
    read = [documents(item, LIMITS)[0].text for item in found.items.values()]
    assert read == ["\u0a0a Ċ 日本", "a 🚀 rocket", "\ufffd half"]


def test_what_is_no_utf_16_shifts_no_line(tmp_path: Path) -> None:
    good = '{"text": "good"}\n'.encode("utf-16-le")
    data = b"\xff\xfe" + good + b"\x00\xd8\x0a\x00" + good + b"x"
    found = scanned(tmp_path / "c.jsonl", data)
    assert documents(found.items["c.jsonl#1"], LIMITS)[0].text == "good"
    assert documents(found.items["c.jsonl#3"], LIMITS)[0].text == "good"


def test_a_marked_line_over_the_limit_ends_the_reading(tmp_path: Path) -> None:
    lines = ['{"text": "a"}', json.dumps({"text": "x" * 100}), '{"text": "b"}']
    found = scanned(tmp_path / "c.jsonl", "\n".join(lines).encode("utf-16"))
    assert list(found.items) == ["c.jsonl#1"]
    assert found.unreadable["c.jsonl"].reason.startswith("line 2 has more than 200 bytes")
