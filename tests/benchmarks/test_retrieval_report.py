"""Measures, intervals, tables and the comparison with a baseline, on rankings made up here."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.retrieval_report import by_question, draw, fallen, figures, interval, overview, table
from benchmarks.retrieval_sets import QuestionSet
from benchmarks.retrieval_stages import STAGES, Run
from rag.types import Document

RELEVANT = {"q1": {"a": 1}, "q2": {"b": 1, "c": 1}}
SET = QuestionSet("made", (Document("a", ""),), {"q1": "", "q2": "", "q3": ""}, RELEVANT, ("q3",))
FOUND = {"q1": ["x", "a"], "q2": ["b", "x", "c"]}


def made_run(found: dict[str, list[str]] = FOUND) -> Run:
    run = Run(3, refused={"q3"})
    for stage in STAGES:
        run.ranked[stage] = found
        run.ms[stage] = [1.0, 3.0]
    run.ms["embed"] = [2.0]
    return run


def test_measures_by_hand() -> None:
    values = by_question(RELEVANT, FOUND)
    assert values["MRR@10"] == pytest.approx([0.5, 1.0])
    assert values["hit@1"] == pytest.approx([0.0, 1.0])
    assert values["R@10"] == pytest.approx([1.0, 1.0])
    ideal = 1 + 1 / np.log2(3)
    assert values["nDCG@10"] == pytest.approx([1 / np.log2(3), (1 + 1 / 2) / ideal])


def test_a_question_that_found_nothing_counts_as_zero() -> None:
    assert by_question(RELEVANT, {"q1": ["a"], "q2": []})["nDCG@10"] == pytest.approx([1.0, 0.0])
    assert by_question(RELEVANT, {})["R@10"] == pytest.approx([0.0, 0.0])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_an_interval_holds_the_mean_and_is_always_the_same(values: list[float]) -> None:
    low, high = interval(np.array(values))
    assert min(values) - 1e-4 <= low <= np.mean(values) + 1e-2
    assert np.mean(values) - 1e-2 <= high <= max(values) + 1e-4
    assert [low, high] == interval(np.array(values))


def test_figures_have_the_promised_shape() -> None:
    found = figures(SET, made_run())
    assert list(found["stages"]) == ["sparse", "dense", "fused", "reranked"]
    for values in found["stages"].values():
        assert list(values) == ["nDCG@10", "R@10", "MRR@10", "hit@1", "p50_ms", "p95_ms"]
    assert found["stages"]["fused"]["p50_ms"] == 2.0
    assert found["abstention"] == {"unanswerable_refused": 1.0, "answerable_refused": 0.0}


def test_tables_tell_every_stage_and_leave_unknown_figures_empty() -> None:
    found = figures(SET, made_run())
    assert "| reranked | 0.775 |" in table(found)
    assert "100.0% of the unanswerable questions find nothing, and 0.0% of the answerable ones" in table(found)
    assert overview([found]).splitlines()[-1] == "| made | 2 | 0.775 | 0.775 | 0.775 | 0.775 |  |  |"


def test_a_published_figure_stands_beside_ours_by_its_own_measure() -> None:
    shown = overview([figures(replace(SET, name="cranfield"), made_run())])
    assert "| nDCG@20 0.567 | 0.775 |" in shown
    assert "cranfield: BERT base, 110 M parameters" in shown


def test_only_a_fall_below_the_interval_counts() -> None:
    baseline = figures(SET, made_run())
    assert fallen(baseline, baseline) == []
    worse = figures(SET, made_run({"q1": [], "q2": []}))
    assert "fused hit@1: 0.0" not in " ".join(fallen(worse, baseline))  # its interval begins at 0
    assert any(line.startswith("fused nDCG@10: 0.0 where the baseline has") for line in fallen(worse, baseline))
    assert fallen(baseline, worse) == []


def test_refusing_what_can_be_answered_counts_as_a_fall() -> None:
    baseline, run = figures(SET, made_run()), made_run()
    run.refused = {"q1", "q2"}
    told = fallen(figures(SET, run), baseline)
    assert [line.split(":")[0] for line in told] == ["abstention unanswerable_refused", "abstention answerable_refused"]


def test_the_plot_is_written(tmp_path: Path) -> None:
    draw(figures(SET, made_run()), tmp_path / "made.png")
    assert (tmp_path / "made.png").stat().st_size > 10_000
