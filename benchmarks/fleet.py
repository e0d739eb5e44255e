"""1,000 GPUs over three sites for a week: hybrid against all-cloud and all-on-prem, driven by the pools' own policy.

    python -m benchmarks.fleet --out var/bench

Prices, start times and chances below are assumptions, the same for all three fleets; change them to your own. Every
site has one outage of three hours. Owned nodes are paid for whether they are used or not.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.arguments import positive
from benchmarks.fleet_plot import draw
from benchmarks.fleet_world import GPUS_PER_NODE, RATE, STEP_S, TARGET, PoolSpec, Record, World

DAY_S = 86_400.0
HOUR_S = 3_600.0
NODES = 125
PEAK_NODES = 95
"""How many nodes the highest hour of the week asks for."""

ONPREM = PoolSpec("onprem", "onprem", 50, 10.0, 60, 0.01, owned=True)
SPOT = PoolSpec("east-spot", "east", 25, 14.0, 150, 0.10, lost_per_hour=0.05)
EAST = PoolSpec("east", "east", 20, 34.0, 150, 0.02)
WEST = PoolSpec("west", "west", 30, 36.0, 180, 0.02)
FLEETS: dict[str, list[PoolSpec]] = {
    "hybrid": [ONPREM, SPOT, EAST, WEST],
    "all-cloud": [SPOT, replace(EAST, nodes=50), replace(WEST, nodes=50)],
    "all-on-prem": [replace(ONPREM, nodes=NODES)],
}
OUTAGES = {
    site: (day * DAY_S + hour * HOUR_S, day * DAY_S + (hour + 3) * HOUR_S)
    for site, day, hour in (("onprem", 1, 13), ("east", 3, 10), ("west", 4, 14))
}


@dataclass(frozen=True)
class Row:
    """One fleet's figures. `goodput` is requests a second within the deadline; latencies are seconds."""

    fleet: str
    cost: float
    goodput: float
    good_share: float
    refused_share: float
    p50: float
    p95: float
    cost_per_million: float
    lost_nodes: int
    failed_starts: int


def weekly_load(seed: int, days: int) -> NDArray[np.float64]:
    """Requests a second by step: a day's wave, quieter weekends, bursts of minutes, noise."""
    random = np.random.default_rng(seed)
    times = np.arange(0, days * DAY_S, STEP_S)
    wave = 0.55 + 0.45 * np.sin(2 * np.pi * (times / DAY_S - 0.33))
    weekend = np.where((times // DAY_S) % 7 >= 5, 0.7, 1.0)
    noise = np.convolve(random.normal(0, 0.05, len(times)), np.ones(20) / 20, mode="same") * 4
    load = wave * weekend * (1 + noise)
    for begin in random.integers(0, len(times), 3 * days):
        load[begin : begin + int(random.integers(20, 60))] *= random.uniform(1.1, 1.35)
    return np.asarray(np.maximum(load, 0.05) * PEAK_NODES * RATE * TARGET, dtype=np.float64)


def row(fleet: str, record: Record, asked: float, seconds: float) -> Row:
    """The figures of a run in which `asked` requests arrived within `seconds`."""
    latency = np.concatenate(record.latency)
    weight = np.repeat(np.array(record.weight) / len(record.latency[0]), len(record.latency[0]))
    order = np.argsort(latency)
    shares = np.cumsum(weight[order]) / weight.sum()
    p50, p95 = (float(latency[order][np.searchsorted(shares, q)]) for q in (0.5, 0.95))
    return Row(
        fleet=fleet,
        cost=record.cost,
        goodput=record.good / seconds,
        good_share=record.good / asked,
        refused_share=record.refused / asked,
        p50=p50,
        p95=p95,
        cost_per_million=record.cost / record.good * 1e6,
        lost_nodes=record.lost_nodes,
        failed_starts=record.failed_starts,
    )


def simulate(seed: int, days: int) -> tuple[list[Row], dict[str, Record]]:
    """All fleets under the same load."""
    load = weekly_load(seed, days)
    records = {name: World(pools, OUTAGES, seed).run(load) for name, pools in FLEETS.items()}
    asked = float(load.sum()) * STEP_S
    return [row(name, record, asked, days * DAY_S) for name, record in records.items()], records


def table(rows: Sequence[Row]) -> str:
    """The rows as people read them."""
    head = "| fleet | cost | per million good | goodput /s | within 15 s | refused | p50 s | p95 s |"
    lines = [head, "| --- " * 8 + "|"]
    for r in rows:
        shares = f"{r.good_share:.2%} | {r.refused_share:.2%}"
        money = f"{r.cost:,.0f} | {r.cost_per_million:,.0f}"
        lines.append(f"| {r.fleet} | {money} | {r.goodput:,.1f} | {shares} | {r.p50:.2f} | {r.p95:.2f} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--days", type=positive, default=7)
    parser.add_argument("--out", type=Path, default=Path("var/bench"), help="folder of fleet.json and fleet.png")
    given = parser.parse_args(arguments)
    rows, records = simulate(given.seed, given.days)
    print(f"{NODES * GPUS_PER_NODE} GPUs in nodes of {GPUS_PER_NODE}, {given.days} days, seed {given.seed}\n")
    print(table(rows))
    given.out.mkdir(parents=True, exist_ok=True)
    summary = {"seed": given.seed, "days": given.days, "rows": [asdict(r) for r in rows]}
    (given.out / "fleet.json").write_text(json.dumps(summary, indent=1))
    draw(rows, records, given.out / "fleet.png")


if __name__ == "__main__":
    main()
