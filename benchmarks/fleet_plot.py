"""The fleet simulation's plot: what each fleet held over the week against what was asked, and what it cost."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.fleet_world import RATE, STEP_S, TARGET, Record

COLOURS = {"onprem": "#0f766e", "east-spot": "#6fb1a8", "east": "#f3c78f", "west": "#dd8a2e"}
INK = "#1f2933"
EVERY = 20


class Figures(Protocol):
    """What the plot writes above a fleet."""

    @property
    def fleet(self) -> str: ...
    @property
    def cost_per_million(self) -> float: ...
    @property
    def good_share(self) -> float: ...
    @property
    def p95(self) -> float: ...


def draw(rows: Sequence[Figures], records: Mapping[str, Record], path: Path) -> None:
    """Write a PNG or SVG, as `path` ends: one panel a fleet."""
    with mpl.rc_context(rc={"text.color": INK, "axes.labelcolor": INK, "xtick.color": INK, "ytick.color": INK}):
        figure = Figure(figsize=(12, 8), dpi=130, layout="constrained")
        for axes, row in zip(figure.subplots(len(rows), 1, sharex=True, sharey=True), rows, strict=True):
            panel(axes, records[row.fleet])
            told = f"{row.good_share:.2%} within 15 s, p95 {row.p95:.1f} s, {row.cost_per_million:,.0f} per million"
            axes.set_title(f"{row.fleet}: {told}", fontsize=11, loc="left")
        axes.set_xlabel("day")
        named = {
            label: handle for a in figure.axes for handle, label in zip(*a.get_legend_handles_labels(), strict=True)
        }
        figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=5, frameon=False)
        figure.suptitle("1,000 GPUs over three sites, each out for three hours once", x=0.01, ha="left", fontsize=12)
        figure.savefig(path)


def panel(axes: Axes, record: Record) -> None:
    """Nodes held by pool, stacked, under the nodes that the load asks for."""
    days = np.arange(0, len(record.load), EVERY) * STEP_S / 86_400
    held = record.nodes[::EVERY]
    pools = [pool for pool in COLOURS if any(pool in nodes for nodes in held)]
    layers = [[nodes.get(pool, 0) for nodes in held] for pool in pools]
    axes.stackplot(days, layers, labels=pools, colors=[COLOURS[pool] for pool in pools])
    axes.plot(days, np.array(record.load[::EVERY]) / (RATE * TARGET), color=INK, linewidth=0.8, label="asked for")
    axes.set_ylabel("nodes of 8 GPUs")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
