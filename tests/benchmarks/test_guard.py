import json
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import guard
from benchmarks.guard import Judged


def judge(word: str) -> guard.Judge:
    async def made(texts: Sequence[str]) -> list[Judged]:
        return [(word in text, ["seen"] if word in text else []) for text in texts]

    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(guard, "judges", lambda _: {"question": judge("bad"), "passage": judge("planted")})
    monkeypatch.setattr("benchmarks.guard.SentenceEmbedder.load", lambda _: None)
    (tmp_path / "sub").mkdir()
    asked = [{"prompt": f"bad {n}", "label": "unsafe"} for n in range(70)] + [{"prompt": "fine", "label": "safe"}]
    (tmp_path / "sub" / "asked.jsonl").write_text("\n".join(map(json.dumps, asked)))
    found = [{"context": "planted", "question": "bad"}, {"context": "clean", "question": "bad"}]
    (tmp_path / "found.jsonl").write_text("\n".join(map(json.dumps, found)))
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["guard", *arguments])
    guard.main()


def test_rows_are_judged_by_kind_and_counted_by_label(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = folder / "new" / "figures.json"
    run(monkeypatch, "--data", str(folder), "--out", str(out))
    assert json.loads(out.read_text()) == [
        {"file": "found.jsonl", "label": "all", "rows": 2, "flagged": 1, "by": {"seen": 1}},
        {"file": "sub/asked.jsonl", "label": "safe", "rows": 1, "flagged": 0, "by": {}},
        {"file": "sub/asked.jsonl", "label": "unsafe", "rows": 70, "flagged": 70, "by": {"seen": 70}},
    ]


def test_an_unreadable_row_ends_it_with_its_place(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "sub" / "z.jsonl").write_text('{"text": "fine"}\n{"nothing": 1}\n')
    with pytest.raises(SystemExit, match=r"z\.jsonl, line 2: none of the fields"):
        run(monkeypatch, "--data", str(folder))
