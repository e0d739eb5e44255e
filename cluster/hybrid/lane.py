"""One pool's work in the background: launches in flight, the last listing, nodes that are ending."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from cluster.hybrid.pool import Mechanism, Node, Order, Outcome

THREADS = 4
HIDDEN_S = 300.0
"""How long a node that was ended may still be listed before it counts as running again."""


@dataclass
class _Launch:
    order: Order
    since: float
    expired: bool = False


class Lane:
    """What is known of one pool. Nothing here waits for the pool, except the lane's own threads."""

    def __init__(self, name: str, pool: Mechanism, clock: Callable[[], float], patience_s: float | None = None):
        self.pool, self._clock, self._patience = pool, clock, patience_s
        self.known = False
        """Whether the pool was ever listed: until then nobody knows what it holds, and nothing is launched."""
        self.error: str | None = None
        self._lock = threading.Lock()
        self._work = ThreadPoolExecutor(THREADS, thread_name_prefix=f"pool-{name}")
        self._listing = ThreadPoolExecutor(1, thread_name_prefix=f"list-{name}")
        self._refreshing: Future[None] | None = None
        self._listings = 0
        self._listed: Mapping[str, Node] = {}
        self._recent: dict[str, tuple[Node, int]] = {}
        self._launches: dict[Future[Outcome], _Launch] = {}
        self._ending: dict[str, float] = {}

    def submit(self, order: Order) -> "Future[Outcome]":
        """Start a launch. It counts as held until `finish`."""
        with self._lock:
            future = self._work.submit(self._launch, order)
            self._launches[future] = _Launch(order, self._clock())
            return future

    def finish(self, future: "Future[Outcome]") -> tuple[Outcome, bool]:
        """The outcome of a launch, and whether it had been given up already. What it started is held from now on."""
        with self._lock:
            launch = self._launches.pop(future)
            outcome = future.result()
            self._recent.update({node_id: (node, self._listings) for node_id, node in outcome.started.items()})
            return outcome, launch.expired

    def expire(self) -> list[Order]:
        """Launches that wait for an answer for too long, each told once. They go on counting as held."""
        with self._lock:
            late = [launch for launch in self._launches.values() if self._is_late(launch)]
            for launch in late:
                launch.expired = True
            return [launch.order for launch in late]

    def terminate(self, node_id: str) -> "Future[None]":
        """End a node. It is hidden at once, and held until it is gone."""
        with self._lock:
            self._ending[node_id] = self._clock()
            return self._work.submit(self._terminate, node_id)

    def refresh(self) -> "Future[None]":
        """List the pool in the background, unless a listing is under way."""
        with self._lock:
            if self._refreshing is None or self._refreshing.done():
                self._refreshing = self._listing.submit(self._list)
            return self._refreshing

    def assume(self, nodes: Mapping[str, Node]) -> None:
        """What the cluster sees of a pool that could not be listed yet."""
        with self._lock:
            if not self.known:
                self._listed = dict(nodes)

    def managed(self) -> dict[str, Node]:
        """The nodes that the autoscaler may know of."""
        return {node_id: node for node_id, node in self.visible().items() if node.managed}

    def visible(self) -> dict[str, Node]:
        """The nodes that are not ending."""
        with self._lock:
            return {node_id: node for node_id, node in self._all().items() if node_id not in self._ending}

    def held(self) -> dict[str, int]:
        """The number of nodes of each type: existing, ending or being started."""
        counts: dict[str, int] = {}
        with self._lock:
            for node in self._all().values():
                counts[node.node_type] = counts.get(node.node_type, 0) + 1
            for launch in self._launches.values():
                order = launch.order
                counts[order.node_type] = counts.get(order.node_type, 0) + order.count
        return counts

    def busy(self) -> set[str]:
        """The hosts that are in use."""
        with self._lock:
            starting = {host for launch in self._launches.values() for host in launch.order.hosts}
            return starting | {node.host for node in self._all().values() if node.host}

    def starting(self) -> int:
        """The number of nodes being started."""
        with self._lock:
            return sum(launch.order.count for launch in self._launches.values())

    def ending(self) -> int:
        """The number of nodes being ended."""
        with self._lock:
            return len(self._ending)

    def _all(self) -> dict[str, Node]:
        return {**{node_id: node for node_id, (node, _) in self._recent.items()}, **self._listed}

    def _launch(self, order: Order) -> Outcome:
        try:
            return self.pool.launch(order)
        except Exception as error:  # whatever a cloud's SDK raises is the reason why the node type is set aside
            return Outcome({}, [(order.node_type, f"{type(error).__name__}: {error}"[:300])])

    def _terminate(self, node_id: str) -> None:
        try:
            self.pool.terminate(node_id)
        except BaseException:
            with self._lock:
                self._ending.pop(node_id, None)
            raise

    def _list(self) -> None:
        with self._lock:
            self._listings += 1
            number = self._listings
        try:
            nodes = self.pool.nodes()
        except Exception as error:  # a pool that cannot be listed keeps its last listing, and the status tells why
            self.error = f"{type(error).__name__}: {error}"[:300]
            return
        now = self._clock()
        with self._lock:
            self._listed, self.known, self.error = nodes, True, None
            self._recent = {i: recent for i, recent in self._recent.items() if recent[1] >= number}
            self._ending = {i: since for i, since in self._ending.items() if i in nodes and now - since < HIDDEN_S}

    def _is_late(self, launch: _Launch) -> bool:
        waited = self._clock() - launch.since
        return not launch.expired and self._patience is not None and waited > self._patience
