"""A fleet of GPU nodes over sites, simulated step by step. The provider's own policy decides which pool starts what.

Requests are a fluid: a node serves `RATE` a second, what is not served waits, and what would wait longer than
`PATIENCE_S` is refused. Nodes come late, fail to start, are lost when they are spot, vanish while their site is out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from cluster.hybrid.config import BackOff, Budget
from cluster.hybrid.policy import FleetPolicy, Terms

STEP_S = 15.0
GPUS_PER_NODE = 8
RATE = 10.0
"""Requests a second that one node completes when it is full."""
TARGET = 0.8
"""The utilisation that the fleet is scaled to."""
SERVICE_S, SPREAD, SLOWDOWN = 3.0, 0.35, 0.6
"""A request's time on an idle node, its log-normal spread, and how much longer it takes on a full one."""
DEADLINE_S, PATIENCE_S = 15.0, 30.0
QUANTILES = np.exp(SPREAD * np.array([-1.64, -1.04, -0.67, -0.39, -0.13, 0.13, 0.39, 0.67, 1.04, 1.64]))
"""Ten equal shares of the requests, by how much longer than the median they take."""


@dataclass(frozen=True)
class PoolSpec:
    """A pool: its most nodes, price per node and hour, seconds to start, chances to fail and to be lost (per hour)."""

    name: str
    site: str
    nodes: int
    price: float
    start_s: float
    fails: float
    lost_per_hour: float = 0.0
    owned: bool = False

    @property
    def idle_s(self) -> float:
        return 1800.0 if self.owned else 300.0

    def terms(self) -> Terms:
        hosts = tuple(f"{self.name}-{n}" for n in range(self.nodes)) if self.owned else None
        return Terms(self.owned, 0, Budget(nodes=self.nodes, per_hour=None), {self.name: self.price}, hosts)


@dataclass
class Node:
    pool: str
    host: str
    ready: float


@dataclass
class Record:
    """What one run left: series by step, and totals."""

    load: list[float] = field(default_factory=list)
    nodes: list[dict[str, int]] = field(default_factory=list)
    latency: list[NDArray[np.float64]] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    cost: float = 0.0
    good: float = 0.0
    refused: float = 0.0
    lost_nodes: int = 0
    failed_starts: int = 0


class World:
    """One run over a load; the same seed gives the same run."""

    def __init__(self, pools: Sequence[PoolSpec], outages: Mapping[str, tuple[float, float]], seed: int):
        self.pools = {pool.name: pool for pool in pools}
        self.policy = FleetPolicy({pool.name: pool.terms() for pool in pools}, BackOff(first_s=60, longest_s=900))
        self._outages, self._random = outages, np.random.default_rng(seed)
        self._nodes: list[Node] = []
        self._surplus_since: dict[str, float] = {}
        self._waiting = 0.0
        self.record = Record()

    def run(self, load: NDArray[np.float64]) -> Record:
        """Live through a load, in requests a second by step."""
        for step, rate in enumerate(load):
            now = step * STEP_S
            self._lose(now)
            wanted = int(np.ceil((rate + self._waiting / 120) / (RATE * TARGET)))
            self._grow(wanted - len(self._nodes), now)
            self._shrink(wanted, now)
            self._serve(float(rate), now)
            self._account(float(rate))
        return self.record

    def _out(self, pool: str, now: float) -> bool:
        begin, end = self._outages.get(self.pools[pool].site, (0.0, 0.0))
        return begin <= now < end

    def _lose(self, now: float) -> None:
        kept = []
        for node in self._nodes:
            spec = self.pools[node.pool]
            lost = spec.lost_per_hour and self._random.random() < spec.lost_per_hour * STEP_S / 3600
            if self._out(node.pool, now) or lost:
                self.record.lost_nodes += 1
                self._waiting += RATE * SERVICE_S * (node.ready <= now)
            else:
                kept.append(node)
        self._nodes = kept

    def _grow(self, missing: int, now: float) -> None:
        for kind in self.policy.order:
            if missing <= 0:
                return
            busy = {f"{node.pool}/{node.host}" for node in self._nodes}
            grant = self.policy.grant(kind, missing, self._held(), busy, now)
            hosts = grant.hosts or ("",) * grant.count
            for host in hosts:
                missing -= self._start(kind, host, now)

    def _start(self, kind: str, host: str, now: float) -> int:
        """Start a node; 1 when it will come."""
        spec = self.pools[kind]
        if self._out(kind, now) or self._random.random() < spec.fails:
            self.policy.aside.fail(kind, host or kind, "did not start", now)
            self.record.failed_starts += 1
            return 0
        self.policy.aside.succeed(kind, host or kind)
        self._nodes.append(Node(kind, host, now + spec.start_s))
        return 1

    def _shrink(self, wanted: int, now: float) -> None:
        """Give back what was not needed for its pool's idle time, the last to be filled first."""
        for kind in reversed(self.policy.order):
            surplus = len(self._nodes) - wanted
            mine = [node for node in self._nodes if node.pool == kind]
            if surplus <= 0 or not mine:
                self._surplus_since.pop(kind, None)
                continue
            since = self._surplus_since.setdefault(kind, now)
            if now - since >= self.pools[kind].idle_s:
                gone = {id(node) for node in mine[-surplus:]}
                self._nodes = [node for node in self._nodes if id(node) not in gone]
                self._surplus_since.pop(kind)

    def _serve(self, rate: float, now: float) -> None:
        capacity = RATE * sum(node.ready <= now for node in self._nodes)
        arrived = rate * STEP_S
        offered = self._waiting + arrived
        room = capacity * (STEP_S + PATIENCE_S)
        self.record.refused += max(0.0, offered - room)
        offered = min(offered, room)
        served = min(offered, capacity * STEP_S)
        self._waiting = offered - served
        wait = self._waiting / capacity if capacity else 0.0
        used = served / (capacity * STEP_S) if capacity else 0.0
        latency = SERVICE_S * (1 + SLOWDOWN * used) * QUANTILES + wait
        self.record.latency.append(latency)
        self.record.weight.append(served)
        self.record.good += served * float(np.mean(latency <= DEADLINE_S))

    def _account(self, rate: float) -> None:
        held = self._held()
        paid = sum(s.price * (s.nodes if s.owned else held.get(s.name, 0)) for s in self.pools.values())
        self.record.cost += paid * STEP_S / 3600
        self.record.load.append(rate)
        self.record.nodes.append(held)

    def _held(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for node in self._nodes:
            counts[node.pool] = counts.get(node.pool, 0) + 1
        return counts
