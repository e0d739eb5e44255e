"""What each pool holds, what is set aside, why and until when: as data, as a JSON file, and as a table."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cluster.hybrid.fleet import Fleet
from cluster.hybrid.whole_file import write_whole

FILE = "status.json"
FRESH_S = 10.0
"""An unchanged status is written again after this, so that its age tells whether the provider lives."""


@dataclass(frozen=True)
class PoolStatus:
    """One pool. `most` are the present limits by node type; `aside` entries have thing, reason, failures and until."""

    nodes: dict[str, int]
    starting: int
    ending: int
    most: dict[str, int]
    per_hour: float
    budget_nodes: int | None
    budget_per_hour: float | None
    aside: list[dict[str, Any]] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True)
class Status:
    """The whole fleet at `time`, in seconds since the epoch."""

    time: float
    pools: dict[str, PoolStatus]


def status_of(fleet: Fleet, now: float) -> Status:
    """The present status."""
    held, limits = fleet.held(), fleet.limits()
    pools = {}
    for name, terms in fleet.policy.pools.items():
        lane = fleet.lanes[name]
        aside = [
            {"thing": thing, "reason": entry.reason, "failures": entry.failures, "until": entry.until}
            for pool, thing, entry in fleet.policy.aside.current(now)
            if pool == name
        ]
        nodes: dict[str, int] = dict.fromkeys(terms.prices, 0)
        for node in lane.visible().values():
            nodes[node.node_type] = nodes.get(node.node_type, 0) + 1
        pools[name] = PoolStatus(
            nodes=nodes,
            starting=lane.starting(),
            ending=lane.ending(),
            most={kind: limits[kind].most for kind in terms.prices if kind in limits},
            per_hour=round(fleet.policy.spend(name, held), 4),
            budget_nodes=terms.budget.nodes,
            budget_per_hour=terms.budget.per_hour,
            aside=aside,
            error=lane.error,
        )
    return Status(now, pools)


class StatusFile:
    """Keeps the newest status in `folder/status.json`, written whole."""

    def __init__(self, folder: Path):
        self.path = folder.expanduser() / FILE
        self._pools: Mapping[str, PoolStatus] = {}
        self._time = 0.0

    def write(self, status: Status) -> None:
        """Write it when it says something new, or when the file has grown old."""
        if status.pools == self._pools and status.time - self._time < FRESH_S:
            return
        write_whole(self.path, json.dumps(asdict(status), indent=1))
        self._pools, self._time = status.pools, status.time


def read_status(path: Path) -> Status:
    """The status in a file; OSError when there is none."""
    raw = json.loads(path.expanduser().read_text())
    return Status(raw["time"], {name: PoolStatus(**pool) for name, pool in raw["pools"].items()})


def table(status: Status, now: float) -> Iterator[str]:
    """The lines of the table that people read."""
    yield f"Status of {_clock(status.time)}, {now - status.time:.0f} s ago"
    yield f"{'pool':<16} {'node type':<20} {'nodes':>5} {'most':>7} {'starting':>8} {'ending':>6} {'per hour':>12}"
    for name, pool in status.pools.items():
        budget = "" if pool.budget_per_hour is None else f"/{pool.budget_per_hour:g}"
        for row, (kind, nodes) in enumerate(pool.nodes.items()):
            most = str(pool.most.get(kind, "")) if pool.most.get(kind, 0) < 1_000_000 else "-"
            whole = f"{pool.starting:>8} {pool.ending:>6} {f'{pool.per_hour:g}{budget}':>12}" if row == 0 else ""
            yield f"{name if row == 0 else '':<16} {kind:<20} {nodes:>5} {most:>7} {whole}".rstrip()
    for name, pool in status.pools.items():
        if pool.error:
            yield f"{name}: cannot be listed: {pool.error}"
        for entry in pool.aside:
            wait = f"until {_clock(entry['until'])}, in {max(0, entry['until'] - now):.0f} s"
            times = f"failures in a row: {entry['failures']}"
            yield f"{name}: {entry['thing']} is set aside {wait}: {entry['reason']} ({times})"


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%H:%M:%SZ")
