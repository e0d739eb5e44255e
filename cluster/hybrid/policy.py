"""Which pool may start how many nodes of which type, and in which order. Pure, without Ray, threads or a clock.

The provider and the fleet simulation decide with the same code.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from cluster.hybrid.config import BackOff, Budget, CloudPool, HybridConfig, LocalPool
from cluster.hybrid.set_aside import SetAside

UNLIMITED = 1_000_000
"""The most nodes of one type: what a pool without a limit may hold."""

Held = Mapping[str, int]
"""Nodes of each node type that exist or are being started."""


@dataclass(frozen=True)
class Terms:
    """What the policy knows of a pool. `hosts` is None for a cloud; prices are per node and hour."""

    owned: bool
    priority: int
    budget: Budget
    prices: Mapping[str, float]
    hosts: tuple[str, ...] | None = None
    startable: bool = True
    least: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Limit:
    """What the autoscaler may do with a node type: how many nodes, and its rank (the higher is filled first)."""

    most: int
    priority: int
    least: int = 0


@dataclass(frozen=True)
class Grant:
    """What a launch may start. `hosts` names them in a pool of hosts; `refused` says why there are not more."""

    count: int
    hosts: tuple[str, ...] = ()
    refused: str = ""


class FleetPolicy:
    """Owned pools before clouds, clouds by price, within budgets, around what is set aside."""

    def __init__(self, pools: Mapping[str, Terms], back_off: BackOff, sizes: Mapping[str, float] | None = None):
        """`sizes` weighs prices: the GPUs (or cores) of a node of each type; 1 where it is left out."""
        self.pools = pools
        self.aside = SetAside(back_off)
        self._pool_of = {kind: name for name, terms in pools.items() for kind in terms.prices}
        self._ranks = _ranks(pools, sizes or {})

    @property
    def order(self) -> list[str]:
        """All node types, the first to be filled first."""
        return sorted(self._ranks, key=self._ranks.__getitem__, reverse=True)

    def pool_of(self, node_type: str) -> str:
        """The pool of a node type; KeyError when there is none."""
        return self._pool_of[node_type]

    def spend(self, pool: str, held: Held) -> float:
        """Currency per hour of what a pool holds."""
        return sum(held.get(kind, 0) * price for kind, price in self.pools[pool].prices.items())

    def limits(self, held: Held, busy: Collection[str], now: float) -> dict[str, Limit]:
        """The limits of every node type. `busy` are the hosts in use, of all pools, as `pool/host`.

        A limit never lies below what is held: the autoscaler would end nodes to obey it.
        """
        limits = {}
        for kind, rank in self._ranks.items():
            most = held.get(kind, 0) + self.grant(kind, UNLIMITED, held, busy, now).count
            terms = self.pools[self._pool_of[kind]]
            most = most if terms.startable else 0
            limits[kind] = Limit(most, rank, min(most, terms.least.get(kind, 0)))
        return limits

    def grant(self, node_type: str, count: int, held: Held, busy: Collection[str], now: float) -> Grant:
        """How many of `count` nodes may be started now."""
        pool = self._pool_of[node_type]
        terms = self.pools[pool]
        room, why = self._budget_room(pool, node_type, held)
        if not terms.startable:
            return Grant(0, refused=f"{pool}: its hosts join by themselves")
        if terms.hosts is None:
            if reason := self.aside.reason(pool, node_type, now):
                return Grant(0, refused=f"{pool}: {node_type} is set aside: {reason}")
            granted = min(count, room, UNLIMITED)
            return Grant(granted, refused="" if granted == count else f"{pool}: {why}")
        free = [h for h in terms.hosts if f"{pool}/{h}" not in busy and not self.aside.reason(pool, h, now)]
        granted = min(count, room, len(free))
        short = "" if granted == count else why if room <= len(free) else "no host is free"
        return Grant(granted, tuple(free[:granted]), f"{pool}: {short}" if short else "")

    def _budget_room(self, pool: str, node_type: str, held: Held) -> tuple[int, str]:
        terms = self.pools[pool]
        room, why = UNLIMITED, "no more than a million nodes"
        if terms.budget.nodes is not None:
            nodes = sum(held.get(kind, 0) for kind in terms.prices)
            room, why = max(0, terms.budget.nodes - nodes), f"budget of {terms.budget.nodes} nodes"
        price = terms.prices[node_type]
        if terms.budget.per_hour is not None and price > 0:
            money = terms.budget.per_hour - self.spend(pool, held)
            affordable = max(0, int((money + 1e-9) / price))
            if affordable < room:
                room, why = affordable, f"budget of {terms.budget.per_hour:g} per hour"
        return room, why


def terms_of(config: HybridConfig) -> dict[str, Terms]:
    """The terms of every configured pool."""
    return {
        name: Terms(
            owned=not isinstance(pool, CloudPool) and not (isinstance(pool, LocalPool) and not pool.owned),
            priority=pool.priority,
            budget=pool.budget,
            prices={kind: offer.price_per_hour for kind, offer in pool.node_types.items()},
            least={kind: offer.min_nodes for kind, offer in pool.node_types.items()},
            hosts=None if isinstance(pool, CloudPool) else tuple(pool.hosts),
            startable=getattr(pool, "start", "ssh") != "joined",
        )
        for name, pool in config.pools.items()
    }


def _ranks(pools: Mapping[str, Terms], sizes: Mapping[str, float]) -> dict[str, int]:
    """A distinct rank for each node type, from 1 up; ties are broken by name."""

    def last_first(item: tuple[str, str, Terms]) -> tuple[bool, float, str]:
        kind, _, terms = item
        cost = terms.prices[kind] / sizes.get(kind, 1)
        return (terms.owned, terms.priority if terms.owned else -cost, kind)

    offers = [(kind, name, terms) for name, terms in pools.items() for kind in terms.prices]
    return {kind: rank for rank, (kind, _, _) in enumerate(sorted(offers, key=last_first), start=1)}
