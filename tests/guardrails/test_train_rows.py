import json
from collections import Counter
from pathlib import Path

import pytest

from guardrails.train_rows import KINDS, Example, read, written


def test_rows_are_read_with_their_defaults(tmp_path: Path) -> None:
    lines = [
        {"text": "a", "kind": "benign", "source": "s"},
        {"text": "b", "kind": "harm", "source": "s", "fold": 2, "weight": 0.5},
    ]
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "rows.jsonl").write_text("\n".join(map(json.dumps, lines)))
    assert list(read(tmp_path)) == [Example("a", "benign", "s"), Example("b", "harm", "s", 2, 0.5)]


@pytest.mark.parametrize("line", ["{", '{"text": "a", "kind": "odd", "source": "s"}', '{"text": "a"}', '{"x": 1}', "7"])
def test_a_broken_row_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"text": "a", "kind": "benign", "source": "s"}) + "\n" + line)
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 2"):
        list(read(tmp_path))


def test_written_sentences_are_always_the_same_and_whole() -> None:
    one, other = list(written()), list(written())
    assert one == other
    assert {example.kind for example in one} <= set(KINDS)
    assert not [example.text for example in one if "{" in example.text or not example.text]
    assert max(Counter((example.kind, example.text) for example in one).values()) == 1
