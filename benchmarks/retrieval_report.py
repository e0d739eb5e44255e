"""From rankings to figures: measures with confidence intervals, as JSON, as a table and as a plot."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from ir_measures import RR, R, Success, calc_aggregate, iter_calc, nDCG
from matplotlib.figure import Figure
from numpy.typing import NDArray

from benchmarks.retrieval_published import PUBLISHED
from benchmarks.retrieval_sets import QuestionSet
from benchmarks.retrieval_stages import CUT, STAGES, Run

MEASURES = {"nDCG@10": nDCG @ CUT, "R@10": R @ CUT, "MRR@10": RR @ CUT, "hit@1": Success @ 1}
RESAMPLES = 2_000
SEED = 20_261_121
COLOURS = ("#b9c0c9", "#7d8794", "#6fb1a8", "#0f766e")
INK = "#1f2933"

Figures = dict[str, Any]


def figures(questions: QuestionSet, run: Run) -> Figures:
    """{"stages": {stage: measures and latency}, "ci": {stage: {measure: [low, high]}}, ...}; times in milliseconds.

    Means over the questions with a relevant document. With unanswerable questions in the set, "abstention" holds the
    share of them that find nothing and the share of the answerable ones that do, with their intervals in "ci".
    """
    out: Figures = {"set": questions.name, "questions": len(questions.relevant)}
    out |= {"documents": len(questions.documents), "passages": run.passages, "stages": {}, "ci": {}}
    out["embed"] = latency(run.ms["embed"])
    for stage in STAGES:
        values = by_question(questions.relevant, run.ranked[stage])
        out["stages"][stage] = {name: mean(v) for name, v in values.items()} | latency(run.ms[stage])
        out["ci"][stage] = {name: interval(v) for name, v in values.items()}
    if beside := PUBLISHED.get(questions.name):
        ours = calc_aggregate([beside.measure], questions.relevant, scores(run.ranked["reranked"]))[beside.measure]
        out["published"] = {"measure": str(beside.measure), "ours": round(ours, 4), "theirs": beside.value}
        out["published"] |= {"system": beside.system, "source": beside.source, "otherwise": beside.otherwise}
    if questions.unanswerable:
        groups = {"unanswerable_refused": questions.unanswerable, "answerable_refused": tuple(questions.relevant)}
        refused = {name: np.array([float(key in run.refused) for key in keys]) for name, keys in groups.items()}
        out["abstention"] = {name: mean(v) for name, v in refused.items()}
        out["ci"]["abstention"] = {name: interval(v) for name, v in refused.items()}
    return out


def by_question(
    relevant: dict[str, dict[str, int]], ranked: Mapping[str, Sequence[str]]
) -> dict[str, NDArray[np.float64]]:
    """Each measure's value for every question of `relevant`, in its order; who found nothing has 0."""
    names = {str(measure): name for name, measure in MEASURES.items()}
    place = {question: n for n, question in enumerate(relevant)}
    out = {name: np.zeros(len(place)) for name in MEASURES}
    for metric in iter_calc(list(MEASURES.values()), relevant, scores(ranked)):
        out[names[str(metric.measure)]][place[metric.query_id]] = metric.value
    return out


def scores(ranked: Mapping[str, Sequence[str]]) -> dict[str, dict[str, float]]:
    """Scores that fall with the rank; a question that found nothing has none."""
    return {q: {d: 1.0 / n for n, d in enumerate(found, 1)} for q, found in ranked.items() if found}


def interval(values: NDArray[np.float64]) -> list[float]:
    """The middle 95 % of the mean over RESAMPLES draws of as many questions with replacement, always the same ones."""
    draws = np.random.default_rng(SEED).integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(values[draws].mean(1), (2.5, 97.5))
    return [round(float(low), 4), round(float(high), 4)]


def mean(values: NDArray[np.float64]) -> float:
    return round(float(values.mean()), 4)


def latency(ms: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(ms, (50, 95))
    return {"p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2)}


def table(found: Figures) -> str:
    """A set's figures for a terminal, in Markdown."""
    head = [*MEASURES, "95 % of nDCG@10", "p50 ms", "p95 ms"]
    lines = [row(["stage", *head]), row(["---"] * (len(head) + 1))]
    for stage, values in found["stages"].items():
        low, high = found["ci"][stage]["nDCG@10"]
        shown = [f"{values[name]:.3f}" for name in MEASURES]
        lines.append(
            row([stage, *shown, f"{low:.3f} to {high:.3f}", f"{values['p50_ms']:.1f}", f"{values['p95_ms']:.1f}"])
        )
    embed = found["embed"]
    lines.append(
        f"\n{found['questions']} questions, {found['documents']} documents, {found['passages']} passages; embedding a "
        f"question takes {embed['p50_ms']:.1f} ms (p95 {embed['p95_ms']:.1f}), which the stages leave out"
    )
    if shares := found.get("abstention"):
        lines.append(
            f"At the configured floor {shares['unanswerable_refused']:.1%} of the unanswerable questions find nothing, "
            f"and {shares['answerable_refused']:.1%} of the answerable ones"
        )
    return "\n".join(lines)


def overview(sets: Sequence[Figures]) -> str:
    """nDCG@10 of every set and stage in one Markdown table, and the reranked order beside what others published."""
    lines = [row(["set", "questions", *STAGES, "published", "ours by that measure"]), row(["---"] * (len(STAGES) + 4))]
    notes = []
    for found in sets:
        shown = [f"{found['stages'][stage]['nDCG@10']:.3f}" for stage in STAGES]
        beside = found.get("published")
        both = [f"{beside['measure']} {beside['theirs']:.3f}", f"{beside['ours']:.3f}"] if beside else ["", ""]
        lines.append(row([found["set"], str(found["questions"]), *shown, *both]))
        if beside:
            notes.append(f"{found['set']}: {beside['system']}; {beside['source']}. There: {beside['otherwise']}.")
    return "\n".join([*lines, "", *notes]) if notes else "\n".join(lines)


def row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def fallen(found: Figures, baseline: Figures) -> list[str]:
    """The figures outside the baseline's own intervals to the worse side; refusing answerable questions is worse."""
    worse = []
    for stage, bounds in baseline["ci"].items():
        values = found.get("abstention", {}) if stage == "abstention" else found["stages"][stage]
        for name, (low, high) in bounds.items():
            outside: Callable[[float], bool] = high.__lt__ if name == "answerable_refused" else low.__gt__
            if name not in values or outside(values[name]):
                worse.append(f"{stage} {name}: {values.get(name)} where the baseline has {low} to {high}")
    return worse


def draw(found: Figures, path: Path) -> None:
    """Write a PNG or SVG, as `path` ends: bars by measure, one a stage, with their intervals."""
    with mpl.rc_context(rc={"text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}):
        figure = Figure(figsize=(10, 4.8), dpi=150, layout="constrained")
        axes = figure.subplots()
        width = 0.84 / len(STAGES)
        for n, (stage, colour) in enumerate(zip(STAGES, COLOURS, strict=True)):
            xs = np.arange(len(MEASURES)) + (n - (len(STAGES) - 1) / 2) * width
            heights = np.array([found["stages"][stage][name] for name in MEASURES])
            lows, highs = np.array([found["ci"][stage][name] for name in MEASURES]).T
            axes.bar(xs, heights, width * 0.92, color=colour, label=stage)
            axes.vlines(xs, lows, highs, color=INK, linewidth=0.8)
            for x, height, high in zip(xs, heights, highs, strict=True):
                axes.annotate(f"{height:.3f}", (x, high), (0, 2), textcoords="offset points", ha="center", fontsize=7)
        axes.set_xticks(range(len(MEASURES)), list(MEASURES))
        axes.set_ylim(0, 1.08)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.25)
        axes.set_axisbelow(True)
        figure.legend(loc="outside lower center", ncols=len(STAGES), frameon=False)
        axes.set_title(
            f"Retrieval on {found['set']}: {found['questions']} questions, lines are 95 % intervals", loc="left"
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)
