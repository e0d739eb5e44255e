from pathlib import Path

import numpy as np
import pytest

from benchmarks.intervals import bootstrap
from benchmarks.pii import Counts, count, figures, masked_in_clean


def test_spans_are_paired_once_by_half_of_their_union() -> None:
    assert count([(0, 10)], [(0, 5), (5, 10)]) == Counts(1, 2, 1, 0)
    assert count([(0, 10)], [(0, 4)]) == Counts(1, 1, 0, 0)
    assert count([(0, 10), (20, 30)], [(20, 30), (1, 10)]) == Counts(2, 2, 2, 1)
    assert count([], [(0, 1)]) == Counts(0, 1, 0, 0)


def test_figures_by_hand() -> None:
    rows = [
        {"text": "ada@example.com", "spans": [{"type": "email", "start": 0, "end": 15}]},
        {"text": "bob at home", "spans": [{"type": "EMAIL_ADDRESS", "start": 0, "end": 3}]},
        {"text": "eve@example.com", "spans": [{"type": "PERSON", "start": 0, "end": 3}]},
    ]
    found = figures(rows)
    assert list(found) == ["email"]
    assert (found["email"]["precision"], found["email"]["recall"], found["email"]["f1"]) == (0.5, 0.5, 0.5)
    assert found["email"]["f1_interval"][0] < 0.5 < found["email"]["f1_interval"][1]


def test_masks_in_clean_texts_are_counted(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("ada@example.com " + "x " * 600)
    assert masked_in_clean(tmp_path) == {"passages": 2, "masks_per_1000": 500, "kinds": {"email": 1}}


def test_an_interval_is_the_same_each_time_and_empty_without_rows() -> None:
    values = np.arange(100.0)
    low, high = bootstrap(100, lambda rows: float(values[rows].mean()))
    assert low < 49.5 < high
    assert [low, high] == bootstrap(100, lambda rows: float(values[rows].mean()))
    assert bootstrap(0, lambda rows: 0.0) == pytest.approx([np.nan, np.nan], nan_ok=True)
