"""All pools at once: launches in the background, one listing, one policy. It knows neither Ray nor any mechanism.

No call waits for a pool: a launch is granted or refused at once, and a listing waits `LISTING_S` for the pools and then
takes what they said last. A launch that fails after it was granted shows up as a node for one listing, because the
autoscaler gives up a request only when it sees a node or an error for it.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import replace
from itertools import count

from cluster.hybrid.cluster_view import Seen
from cluster.hybrid.lane import Lane
from cluster.hybrid.policy import FleetPolicy, Grant, Limit
from cluster.hybrid.pool import TAG_KIND, TAG_TYPE, LaunchRefused, Mechanism, Node, Order, Outcome, Tags
from cluster.hybrid.surroundings import Surroundings

logger = logging.getLogger(__name__)

LISTING_S = 1.0


class Fleet:
    """The nodes of all pools, by `pool/id`. Every method may be called from any thread."""

    def __init__(
        self,
        policy: FleetPolicy,
        mechanisms: Mapping[str, Mechanism],
        around: Surroundings,
        *,
        changed: Callable[["Fleet"], None] = lambda fleet: None,
        launch_timeout_s: Mapping[str, float] | None = None,
    ):
        """`changed` is called, outside the lock, whenever limits or status may have changed."""
        self.policy, self._changed = policy, changed
        self._clock, self._view = around.clock, around.view
        self._lock = threading.RLock()
        self.writing = threading.Lock()
        """Held by `changed` while it writes what it read from here."""
        patience = launch_timeout_s or {}
        self.lanes = {name: Lane(name, pool, around.clock, patience.get(name)) for name, pool in mechanisms.items()}
        self._ghosts: dict[str, Node] = {}
        self._ghost_numbers = count(int(around.clock() * 1000))
        for name, pool in mechanisms.items():
            pool.listen(_Ear(self, name))

    def create(self, order: Order) -> None:
        """Launch what the policy grants of an order; raise LaunchRefused when that is nothing."""
        name = self.policy.pool_of(order.node_type)
        with self._lock:
            grant = self._grant(name, order)
            granted = replace(order, count=grant.count, hosts=grant.hosts)
            launch = self.lanes[name].submit(granted) if grant.count else None
            if launch:
                self._add_ghosts(name, order, order.count - grant.count)
        if launch:
            launch.add_done_callback(lambda done: self._finish(name, granted, done))
        self._changed(self)
        if launch is None:
            raise LaunchRefused(grant.refused)

    def nodes(self) -> dict[str, Node]:
        """Everything that exists, and for once what failed to start."""
        seen = self._view()
        for name, lane in self.lanes.items():
            lane.assume({key.partition("/")[2]: _node(s) for key, s in seen.items() if key.startswith(f"{name}/")})
        wait([lane.refresh() for lane in self.lanes.values()], timeout=LISTING_S)
        with self._lock:
            for name, lane in self.lanes.items():
                for order in lane.expire():
                    self.policy.aside.fail(name, order.node_type, "no answer to a launch", self._clock())
                    self._add_ghosts(name, order, order.count)
            listed = {f"{name}/{key}": n for name, lane in self.lanes.items() for key, n in lane.managed().items()}
            listed.update({key: _node(s) for key, s in seen.items() if s.head and key not in listed})
            listed.update(self._ghosts)
            self._ghosts = {}
        self._changed(self)
        return listed

    def terminate(self, node_id: str) -> None:
        """End a node in the background; it is out of the listing at once. An unknown id is ignored."""
        name, _, key = node_id.partition("/")
        if name in self.lanes and key:
            self.lanes[name].terminate(key).add_done_callback(lambda done: self._ended(node_id, done))

    def tag(self, node_id: str, tags: Tags) -> None:
        """Set tags of a node; the tags of a head that is in no pool are not kept."""
        name, _, key = node_id.partition("/")
        if name in self.lanes:
            self.lanes[name].pool.tag(key, tags)

    def held(self) -> dict[str, int]:
        """Nodes of each node type that exist, are being started or are ending."""
        totals: dict[str, int] = {}
        with self._lock:
            for lane in self.lanes.values():
                for kind, number in lane.held().items():
                    totals[kind] = totals.get(kind, 0) + number
        return totals

    def busy(self) -> set[str]:
        """The hosts in use, as `pool/host`."""
        with self._lock:
            return {f"{name}/{host}" for name, lane in self.lanes.items() for host in lane.busy()}

    def limits(self) -> dict[str, Limit]:
        """What the autoscaler may ask for from now on. Failed launches count until they were listed."""
        with self._lock:
            held = self.held()
            limits = self.policy.limits(held, self.busy(), self._clock())
            for kind, limit in limits.items():
                if not self.lanes[self.policy.pool_of(kind)].known:
                    limits[kind] = Limit(held.get(kind, 0), limit.priority)
            for ghost in self._ghosts.values():
                known = limits[ghost.node_type]
                limits[ghost.node_type] = replace(known, most=known.most + 1)
            return limits

    def set_aside(self, name: str, thing: str, reason: str) -> None:
        """Leave a host or a node type alone for a while."""
        with self._lock:
            entry = self.policy.aside.fail(name, thing, reason, self._clock())
        logger.warning("%s/%s is set aside for %.0f s: %s", name, thing, entry.until - entry.since, reason)

    def trust(self, name: str, thing: str) -> None:
        """Forget the past failures of what has started."""
        with self._lock:
            self.policy.aside.succeed(name, thing)

    def _grant(self, name: str, order: Order) -> Grant:
        if not self.lanes[name].known:
            return Grant(0, refused=f"{name}: not listed yet{_because(self.lanes[name].error)}")
        return self.policy.grant(order.node_type, order.count, self.held(), self.busy(), self._clock())

    def _finish(self, name: str, order: Order, done: "Future[Outcome]") -> None:
        with self._lock:
            outcome, expired = self.lanes[name].finish(done)
            for thing, reason in outcome.failed:
                self.set_aside(name, thing, reason)
            if not expired:
                self._add_ghosts(name, order, order.count - len(outcome.started))
        self._changed(self)

    def _ended(self, node_id: str, done: "Future[None]") -> None:
        if error := done.exception():
            logger.warning("%s did not end and is listed again: %s", node_id, error)
        self._changed(self)

    def _add_ghosts(self, name: str, order: Order, number: int) -> None:
        for _ in range(number):
            ghost = f"{name}/failed-{next(self._ghost_numbers)}"
            self._ghosts[ghost] = Node(order.node_type, order.tags, running=False)


def _node(seen: Seen) -> Node:
    return Node(seen.node_type, {TAG_KIND: "head" if seen.head else "worker", TAG_TYPE: seen.node_type})


def _because(error: str | None) -> str:
    return f": {error}" if error else ""


class _Ear:
    """Listens to one pool."""

    def __init__(self, fleet: Fleet, name: str):
        self._fleet, self._name = fleet, name

    def failed(self, thing: str, reason: str) -> None:
        self._fleet.set_aside(self._name, thing, reason)

    def joined(self, thing: str) -> None:
        self._fleet.trust(self._name, thing)
