import pytest

from benchmarks.guard_report import Count, figures, table, wilson


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_wilson_matches_published_values(hits: int, of: int, low: float, high: float) -> None:
    assert wilson(hits, of) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_rows_are_counted_once_for_each_check() -> None:
    count = Count("a.jsonl", "jailbreak")
    count.add(True, ["phrases", "phrases", "injection"])
    count.add(False, ["secrets"])
    count.add(False, [])
    assert figures([count]) == [
        {
            "file": "a.jsonl",
            "label": "jailbreak",
            "rows": 3,
            "flagged": 1,
            "by": {"injection": 1, "phrases": 1, "secrets": 1},
        }
    ]


def test_the_table_has_a_line_for_each_count() -> None:
    count = Count("a.jsonl", "all")
    count.add(True, ["phrases"])
    lines = table([count]).splitlines()
    assert len(lines) == 3
    assert lines[2] == "| a.jsonl | all | 1 | 1 | 100.0% | 20.7% to 100.0% | phrases 1 |"
