"""A cluster of pretence: nodes, actors that wait for a GPU, a GCS that the real autoscaler v2 reads, and mechanisms."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ray._common.utils import hex_to_binary
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.autoscaler_pb2 import ClusterResourceState, GetClusterResourceStateReply, NodeState, NodeStatus
from ray.core.generated.common_pb2 import LABEL_OPERATOR_IN

from cluster.hybrid.cluster_view import Seen
from cluster.hybrid.pool import Listener, Node, Order, Outcome, Tags
from cluster.hybrid.starter import StartFailed

HEAD = "head"


class Clock:
    """A clock that goes only when told."""

    def __init__(self, now: float = 1000.0):
        self.now = now

    def __call__(self) -> float:
        return self.now


@dataclass
class Machine:
    node_id: str
    node_type: str
    labels: dict[str, str]
    alive: bool = True
    actors: list[str] = field(default_factory=list)
    idle_since: float = field(default_factory=time.monotonic)


@dataclass
class FakeCluster:
    """One GPU per node and actor. Its `get_cluster_resource_state` and `drain_node` are those of a GcsClient."""

    address: str = "127.0.0.1:6379"
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    machines: dict[str, Machine] = field(default_factory=dict)
    waiting: dict[str, dict[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.machines[HEAD] = Machine("f" * 56, "head", {})
        self._lock = threading.RLock()

    def join(self, instance: str, node_type: str) -> None:
        with self._lock:
            number = len(self.machines)
            self.machines[instance] = Machine(f"{number:056x}", node_type, dict(self.labels.get(node_type, {})))
            self._place()

    def die(self, instance: str) -> None:
        with self._lock:
            self.machines[instance].alive = False

    def want(self, *actors: str, **labels: str) -> None:
        with self._lock:
            self.waiting.update({actor: labels for actor in actors})
            self._place()

    def release(self, *actors: str) -> None:
        with self._lock:
            for machine in self.machines.values():
                machine.actors = [a for a in machine.actors if a not in actors]

    def types(self) -> list[str]:
        """The node types of the live workers, in the order in which they joined."""
        return [m.node_type for key, m in self.machines.items() if m.alive and key != HEAD]

    def view(self) -> Mapping[str, Seen]:
        with self._lock:
            return {k: Seen(m.node_type, k == HEAD) for k, m in self.machines.items() if m.alive}

    def get_cluster_resource_state(self) -> bytes:
        with self._lock:
            requests = [_request(labels) for labels in self.waiting.values()]
            state = ClusterResourceState(
                cluster_resource_state_version=1,
                node_states=[_node_state(key, machine) for key, machine in self.machines.items()],
                pending_resource_requests=ResourceRequestUtil.group_by_count(requests),
            )
        return GetClusterResourceStateReply(cluster_resource_state=state).SerializeToString()

    def drain_node(self, node_id: str, **_: Any) -> tuple[bool, str]:
        (found,) = (key for key, machine in self.machines.items() if machine.node_id == node_id)
        self.die(found)
        return True, ""

    def _place(self) -> None:
        for actor, labels in list(self.waiting.items()):
            for key, machine in self.machines.items():
                if key != HEAD and machine.alive and not machine.actors and labels.items() <= machine.labels.items():
                    machine.actors.append(actor)
                    del self.waiting[actor]
                    break


def _request(labels: Mapping[str, str]) -> Any:
    selector = [(key, LABEL_OPERATOR_IN, [value]) for key, value in labels.items()]
    return ResourceRequestUtil.make({"GPU": 1.0}, label_selectors=[selector] if selector else None)


def _node_state(key: str, machine: Machine) -> Any:
    total = {"CPU": 1.0, "node:__internal_head__": 1.0} if key == HEAD else {"CPU": 1.0, "GPU": 1.0}
    free = {**total, "GPU": 0.0} if machine.actors else total
    status = NodeStatus.IDLE if key != HEAD and not machine.actors else NodeStatus.RUNNING
    return NodeState(
        node_id=hex_to_binary(machine.node_id),
        instance_id=key,
        ray_node_type_name=machine.node_type,
        total_resources=total,
        available_resources=free,
        labels=machine.labels,
        status=status if machine.alive else NodeStatus.DEAD,
        idle_duration_ms=int((time.monotonic() - machine.idle_since) * 1000) if not machine.actors else 0,
    )


class FakeStarter:
    """Starts by joining the cluster; hosts in `down` refuse, hosts in `mute` start and never join."""

    def __init__(self, join: Callable[[str, str], None] = lambda instance, node_type: None):
        self._join = join
        self.down: set[str] = set()
        self.mute: set[str] = set()
        self.started: list[tuple[str, str]] = []
        self.stopped: list[str] = []
        self.environments: list[Mapping[str, str]] = []

    def start(self, host: str, instance: str, environment: Mapping[str, str], command: str) -> None:
        if host in self.down:
            raise StartFailed("Connection refused")
        self.started.append((host, instance))
        self.environments.append(environment)
        if host not in self.mute:
            self._join(instance, environment["RAY_NODE_TYPE_NAME"])

    def stop(self, host: str, instance: str) -> None:
        if host in self.down:
            raise StartFailed("Connection refused")
        self.stopped.append(instance)


class FakeCloud:
    """A mechanism without limits; `broken` is raised by launches, `silent` by listings, `hang` holds launches up."""

    def __init__(self, name: str = "cloud", join: Callable[[str, str], None] = lambda instance, node_type: None):
        self._name, self._join = name, join
        self.broken: Exception | None = None
        self.silent: Exception | None = None
        self.hang: threading.Event | None = None
        self.made: dict[str, Node] = {}
        self._number = 0
        self.listener: Listener | None = None

    def listen(self, listener: Listener) -> None:
        self.listener = listener

    def launch(self, order: Order) -> Outcome:
        if self.hang:
            self.hang.wait(20)
        if self.broken:
            raise self.broken
        fresh = {}
        for _ in range(order.count):
            self._number += 1
            fresh[f"i-{self._number}"] = Node(order.node_type, dict(order.tags))
        self.made.update(fresh)
        for key in fresh:
            self._join(f"{self._name}/{key}", order.node_type)
        return Outcome(fresh)

    def nodes(self) -> Mapping[str, Node]:
        if self.silent:
            raise self.silent
        return dict(self.made)

    def terminate(self, node_id: str) -> None:
        self.made.pop(node_id, None)

    def tag(self, node_id: str, tags: Tags) -> None:
        self.made[node_id].tags.update(tags)
