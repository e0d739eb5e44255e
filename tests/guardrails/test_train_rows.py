import json
from collections import Counter
from pathlib import Path

import pytest

from guardrails.train_rows import KINDS, Example, handbook, held_out, read, written


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


def test_the_handbook_is_harmless_and_a_part_of_its_questions_is_kept_for_measurements(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# Title\n\nA prompt is a text.\n\n| a | table |\n")
    questions = [f"How long is prompt {n}?" for n in range(60)]
    lines = [json.dumps({"question": question}) for question in questions]
    (tmp_path / "benchmarks" / "handbook.jsonl").write_text("\n".join(lines))
    rows = list(handbook(tmp_path))
    assert {row.kind for row in rows} == {"benign"}
    assert rows[0].text == "A prompt is a text."
    kept = [question for question in questions if held_out(question)]
    assert 10 < len(kept) < 30
    assert {row.text for row in rows[1:]} == set(questions) - set(kept)
