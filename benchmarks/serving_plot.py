"""The serving benchmark's one plot: time to first token and throughput of every server, by concurrency."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.serving_report import OPEN, Row, level

COLOURS = {
    "vllm": "#b9c0c9",
    "vllm-same": "#7d8794",
    "serve-llm": "#f3c78f",
    "serve-llm-tuned": "#dd8a2e",
    "raglan-bare": "#6fb1a8",
    "raglan": "#0f766e",
}
INK = "#1f2933"
LARGE = 100


def draw(rows: Sequence[Row], titles: Mapping[str, str], subtitle: str, path: Path) -> None:
    """Write a PNG or SVG, as `path` ends: bars grouped by concurrency, lines to the 95th percentile."""
    with mpl.rc_context(rc={"text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}):
        figure = Figure(figsize=(12, 5.4), dpi=150, layout="constrained")
        left, right = figure.subplots(1, 2)
        bars(left, rows, [row.ttft.p50 for row in rows], [row.ttft.p95 for row in rows])
        left.set_title("Time to first token: median, line to p95 (lower is better)", fontsize=11, loc="left")
        left.set_ylabel("ms")
        closed = [row for row in rows if row.concurrency != OPEN]
        bars(right, closed, [row.requests_per_s for row in closed], [max(row.rounds) for row in closed])
        right.set_title("Throughput: mean, line to the best round (higher is better)", fontsize=11, loc="left")
        right.set_ylabel("requests/s")
        handles, names = right.get_legend_handles_labels()
        figure.legend(handles, [titles[n] for n in names], loc="outside lower center", ncols=3, frameon=False)
        figure.suptitle(f"One engine, different servers in front of it\n{subtitle}", fontsize=12, x=0.01, ha="left")
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path)


def bars(axes: Axes, rows: Sequence[Row], heights: Sequence[float], tips: Sequence[float]) -> None:
    """One group of bars by concurrency, one bar by server, a line up to its tip and its height written over it."""
    servers = list(dict.fromkeys(row.server for row in rows))
    levels = list(dict.fromkeys(row.concurrency for row in rows))
    width = 0.84 / len(servers)
    for row, height, tip in zip(rows, heights, tips, strict=True):
        place = servers.index(row.server)
        x = levels.index(row.concurrency) + (place - (len(servers) - 1) / 2) * width
        label = row.server if row.concurrency == levels[0] else None
        axes.bar(x, height, width * 0.92, color=COLOURS[row.server], label=label)
        axes.vlines(x, height, tip, color=INK, linewidth=0.8)
        written = f"{height:,.0f}" if height >= LARGE else f"{height:.3g}"
        axes.annotate(written, (x, tip), (0, 2), textcoords="offset points", ha="center", fontsize=7)
    axes.set_xticks(range(len(levels)), [level(concurrency) for concurrency in levels])
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
