"""Pools of listed hosts: which node runs on which host, who joined and who did not. The starter knows how."""

import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from cluster.hybrid.config import HostPool
from cluster.hybrid.pool import TAG_KIND, TAG_TYPE, Listener, Node, Order, Outcome, Tags
from cluster.hybrid.starter import Starter, StartFailed
from cluster.hybrid.surroundings import Surroundings
from cluster.hybrid.whole_file import write_whole

PARALLEL = 16


@dataclass
class _Held:
    node: Node
    started: float
    joined: bool = False
    starting: bool = False


class Hosts:
    """The mechanism of a pool of hosts. A node's id is `host@incarnation`, so that none is ever used twice."""

    def __init__(
        self, name: str, config: HostPool, starter: Starter, around: Surroundings, head_file: Path | None = None
    ):
        """`head_file` keeps the head that `ray up` was given here, for the next `ray up` from the same machine."""
        self._name, self._config, self._starter = name, config, starter
        self._view, self._clock, self._address = around.view, around.clock, around.gcs_address
        self._listener: Listener | None = None
        self._lock = threading.Lock()
        self._held: dict[str, _Held] = {}
        self._ended: set[str] = set()
        self._incarnation = 0
        self._head_file = head_file
        if head_file and head_file.exists():
            kept = json.loads(head_file.read_text())
            self._held[kept["id"]] = _Held(
                Node(kept["node_type"], kept["tags"], host=kept["host"]), self._clock(), True
            )
        self._threads = ThreadPoolExecutor(PARALLEL, thread_name_prefix=f"hosts-{name}")

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    def launch(self, order: Order) -> Outcome:
        """Start Ray on the order's hosts at the same time; the head is only given its host, `ray up` starts it."""
        if order.tags.get(TAG_KIND) == "head":
            held = dict(self._hold(host, order) for host in order.hosts)
            self._keep_head()
            return Outcome(held)
        results = list(self._threads.map(lambda host: self._start(host, order), order.hosts))
        started = {node_id: node for node_id, node, _ in results if node}
        failed = [(host, why) for host, (_, node, why) in zip(order.hosts, results, strict=True) if not node]
        return Outcome(started, failed)

    def nodes(self) -> Mapping[str, Node]:
        """What was started here, less what never joined, and what the cluster sees of this pool."""
        seen = {key.removeprefix(f"{self._name}/"): s for key, s in self._view().items() if self._mine(key)}
        now = self._clock()
        with self._lock:
            self._ended &= seen.keys()
            for node_id, sight in seen.items():
                if node_id not in self._held and node_id not in self._ended:
                    tags = {TAG_KIND: "head" if sight.head else "worker", TAG_TYPE: sight.node_type}
                    self._held[node_id] = _Held(Node(sight.node_type, tags, host=node_id.split("@")[0]), now)
            fresh = [self._held[i] for i in seen if i in self._held and not self._held[i].joined]
            for held in fresh:
                held.joined = True
            late = [i for i, held in self._held.items() if self._is_late(held, now)] if self._address else []
        for held in fresh:
            if self._listener:
                self._listener.joined(held.node.host or "")
        for node_id in late:
            self._give_up(node_id)
        with self._lock:
            return {node_id: held.node for node_id, held in self._held.items() if not held.starting}

    def terminate(self, node_id: str) -> None:
        """End Ray on the node's host. The host stays in use until that is done."""
        with self._lock:
            held = self._held.get(node_id)
        if held is None:
            return
        try:
            self._starter.stop(held.node.host or node_id, f"{self._name}/{node_id}")
        except StartFailed as failure:
            self._failed(held, f"did not end: {failure}")
        finally:
            with self._lock:
                self._held.pop(node_id, None)
                self._ended.add(node_id)
            self._keep_head()

    def tag(self, node_id: str, tags: Tags) -> None:
        with self._lock:
            if held := self._held.get(node_id):
                held.node = replace(held.node, tags={**held.node.tags, **tags})
        self._keep_head()

    def _start(self, host: str, order: Order) -> tuple[str, Node | None, str]:
        node_id, node = self._hold(host, order, starting=True)
        instance = f"{self._name}/{node_id}"
        environment = {
            "RAY_ADDRESS": self._address,
            "RAY_HEAD_IP": self._address.rsplit(":", 1)[0],
            "RAY_CLOUD_INSTANCE_ID": instance,
            "RAY_NODE_TYPE_NAME": order.node_type,
            "RAY_OVERRIDE_RESOURCES": json.dumps(order.resources),
            "RAY_OVERRIDE_LABELS": json.dumps(order.labels),
        }
        try:
            self._starter.start(host, instance, environment, self._config.start_command)
        except StartFailed as failure:
            with self._lock:
                self._held.pop(node_id, None)
            return node_id, None, str(failure)
        with self._lock:
            self._held[node_id].starting = False
            self._held[node_id].started = self._clock()
        return node_id, node, ""

    def _hold(self, host: str, order: Order, starting: bool = False) -> tuple[str, Node]:
        with self._lock:
            self._incarnation = max(self._incarnation + 1, int(self._clock() * 1000))
            node_id = f"{host}@{self._incarnation:x}"
            node = Node(order.node_type, dict(order.tags), host=host)
            self._held[node_id] = _Held(node, self._clock(), starting=starting)
            return node_id, node

    def _failed(self, held: _Held, reason: str) -> None:
        if self._listener:
            self._listener.failed(held.node.host or "", reason)

    def _mine(self, key: str) -> bool:
        pool, _, node_id = key.partition("/")
        return pool == self._name and node_id.split("@")[0] in self._config.hosts

    def _keep_head(self) -> None:
        if self._head_file is None:
            return
        with self._lock:
            heads = [(i, held.node) for i, held in self._held.items() if held.node.tags.get(TAG_KIND) == "head"]
        for node_id, node in heads:
            kept = {"id": node_id, "node_type": node.node_type, "tags": node.tags, "host": node.host}
            write_whole(self._head_file, json.dumps(kept))
        if not heads:
            self._head_file.unlink(missing_ok=True)

    def _is_late(self, held: _Held, now: float) -> bool:
        worker = held.node.tags.get(TAG_KIND) != "head"
        return worker and not held.joined and not held.starting and now - held.started > self._config.join_timeout_s

    def _give_up(self, node_id: str) -> None:
        with self._lock:
            held = self._held.get(node_id)
        if held:
            self._failed(held, f"did not join within {self._config.join_timeout_s:g} s")
            self.terminate(node_id)
