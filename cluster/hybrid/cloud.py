"""A cloud pool: one of Ray's own node providers under a cluster name of its own, so that no two share nodes."""

import copy
import threading
from collections.abc import Callable, Mapping
from typing import Any

from ray.autoscaler._private.providers import _get_node_provider_cls
from ray.autoscaler.tags import (
    STATUS_UP_TO_DATE,
    STATUS_UPDATE_FAILED,
    TAG_RAY_LAUNCH_REQUEST,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)

from cluster.hybrid.config import CloudPool
from cluster.hybrid.pool import Listener, Node, Order, Outcome, Tags

LISTED_WITHIN_S = 120.0
"""How long a cloud may take to list a node that it said it had created."""


def child_cluster_name(cluster_name: str, pool: str) -> str:
    """The cluster name under which a pool's provider tags its nodes."""
    return f"{cluster_name}-{pool}"


class Cloud:
    """The mechanism of a cloud pool; node ids are the cloud's own."""

    def __init__(
        self,
        name: str,
        config: CloudPool,
        cluster_name: str,
        clock: Callable[[], float],
    ):
        settings = copy.deepcopy(config.provider)
        self.provider: Any = _get_node_provider_cls(settings)(settings, child_cluster_name(cluster_name, name))
        self.auth = config.auth
        self._listener: Listener | None = None
        self._clock = clock
        self._lock = threading.Lock()
        self._created: dict[str, tuple[Node, float]] = {}
        self._types: dict[str, str] = {}

    def listen(self, listener: Listener) -> None:
        self._listener = listener

    def launch(self, order: Order) -> Outcome:
        """Ask the cloud for the order. A cloud that names what it created is believed before it lists it."""
        made = self.provider.create_node_with_resources_and_labels(
            order.node_config, dict(order.tags), order.count, dict(order.resources), dict(order.labels)
        )
        nodes = {str(node_id): Node(order.node_type, dict(order.tags), running=False) for node_id in made or {}}
        with self._lock:
            self._created.update({node_id: (node, self._clock()) for node_id, node in nodes.items()})
        if made is None:
            return Outcome({node_id: node for node_id, node in self.nodes().items() if self._of(node, order)})
        failed = [(order.node_type, f"the cloud created {len(nodes)} of {order.count}")]
        return Outcome(nodes, failed if len(nodes) < order.count else [])

    def nodes(self) -> Mapping[str, Node]:
        listed = {}
        for node_id in self.provider.non_terminated_nodes({}):
            tags = dict(self.provider.node_tags(node_id))
            listed[str(node_id)] = Node(
                tags.get(TAG_RAY_USER_NODE_TYPE, ""), tags, bool(self.provider.is_running(node_id))
            )
        now = self._clock()
        with self._lock:
            waited = {key: made for key, made in self._created.items() if key not in listed}
            self._created = {key: made for key, made in waited.items() if now - made[1] < LISTED_WITHIN_S}
            listed.update({node_id: node for node_id, (node, _) in self._created.items()})
            self._types = {node_id: node.node_type for node_id, node in listed.items()}
        return listed

    def terminate(self, node_id: str) -> None:
        with self._lock:
            self._created.pop(node_id, None)
        self.provider.terminate_node(node_id)

    def tag(self, node_id: str, tags: Tags) -> None:
        """Pass the tags on; Ray's installer tells through them whether a node came up."""
        self.provider.set_node_tags(node_id, tags)
        kind = self._types.get(node_id)
        if not self._listener or not kind:
            return
        if tags.get(TAG_RAY_NODE_STATUS) == STATUS_UPDATE_FAILED:
            self._listener.failed(kind, f"Ray could not be installed on {node_id}")
        elif tags.get(TAG_RAY_NODE_STATUS) == STATUS_UP_TO_DATE:
            self._listener.joined(kind)

    @staticmethod
    def _of(node: Node, order: Order) -> bool:
        request = TAG_RAY_LAUNCH_REQUEST
        return node.node_type == order.node_type and node.tags.get(request) == order.tags.get(request)
