"""Ray's node provider over the fleet, for a `provider` section of type `external`."""

import copy
import socket
from collections.abc import Mapping
from typing import Any

from ray.autoscaler._private.providers import _get_node_provider_cls
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.node_provider import NodeProvider
from ray.autoscaler.tags import TAG_RAY_NODE_KIND, TAG_RAY_USER_NODE_TYPE

from cluster.hybrid.assembly import build_fleet
from cluster.hybrid.cloud import Cloud, child_cluster_name
from cluster.hybrid.cluster_file import check
from cluster.hybrid.command_runner import AlreadyStarted
from cluster.hybrid.config import CloudPool, HybridConfig
from cluster.hybrid.fleet import Fleet
from cluster.hybrid.pool import LaunchRefused, Node, Order
from cluster.hybrid.surroundings import surroundings

HEAD_ELSEWHERE = "head-elsewhere"


class HybridNodeProvider(NodeProvider):  # type: ignore[misc]
    """Node ids are `pool/id`. Thread-safe: the fleet is, and the last listing is replaced as a whole."""

    def __init__(self, provider_config: dict[str, Any], cluster_name: str, fleet: Fleet | None = None):
        super().__init__(provider_config, cluster_name)
        self._config = HybridConfig.model_validate(provider_config)
        self._fleet = fleet or build_fleet(self._config, cluster_name, surroundings(self._config.gcs_address))
        self._listed: Mapping[str, Node] = {}

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> list[str]:
        self._listed = listed = self._fleet.nodes()
        return [node_id for node_id, node in listed.items() if tag_filters.items() <= node.tags.items()]

    def is_running(self, node_id: str) -> bool:
        node = self._listed.get(node_id)
        return node is not None and node.running

    def is_terminated(self, node_id: str) -> bool:
        return node_id not in self._listed

    def node_tags(self, node_id: str) -> dict[str, str]:
        node = self._listed.get(node_id)
        return dict(node.tags) if node else {}

    def set_node_tags(self, node_id: str, tags: dict[str, str]) -> None:
        self._fleet.tag(node_id, tags)
        if node := self._listed.get(node_id):
            node.tags.update(tags)

    def create_node_with_resources_and_labels(
        self,
        node_config: dict[str, Any],
        tags: dict[str, str],
        count: int,
        resources: dict[str, float],
        labels: dict[str, str],
    ) -> None:
        settings = {key: value for key, value in node_config.items() if key != "pool"}
        order = Order(tags[TAG_RAY_USER_NODE_TYPE], count, (), dict(tags), settings, dict(resources), dict(labels))
        try:
            self._fleet.create(order)
        except LaunchRefused as refusal:
            raise NodeLaunchException("refused", str(refusal), None) from refusal

    def create_node(self, node_config: dict[str, Any], tags: dict[str, str], count: int) -> None:
        """What `ray up` calls for the head."""
        self.create_node_with_resources_and_labels(node_config, tags, count, {}, {})

    def terminate_node(self, node_id: str) -> None:
        self._fleet.terminate(node_id)
        self._listed = {key: node for key, node in self._listed.items() if key != node_id}

    def internal_ip(self, node_id: str) -> str:
        return self._address(node_id, internal=True)

    def external_ip(self, node_id: str) -> str:
        return self._address(node_id, internal=False)

    def get_command_runner(
        self, log_prefix: str, node_id: str, auth_config: dict[str, Any], *rest: Any, **more: Any
    ) -> Any:
        """The cloud's own runner with the pool's `auth`; one that does nothing where the pool started Ray itself."""
        cloud, key = self._cloud(node_id)
        if cloud:
            return cloud.provider.get_command_runner(log_prefix, key, {**auth_config, **cloud.auth}, *rest, **more)
        if self.node_tags(node_id).get(TAG_RAY_NODE_KIND) != "head":
            return AlreadyStarted(key)
        return super().get_command_runner(log_prefix, node_id, auth_config, *rest, **more)

    @staticmethod
    def bootstrap_config(cluster_config: dict[str, Any]) -> dict[str, Any]:
        """Refuse a bad file, and let each cloud's provider complete the node types of its pools."""
        config = copy.deepcopy(cluster_config)
        checked = check(config)
        for name, pool in checked.provider.pools.items():
            if isinstance(pool, CloudPool):
                _bootstrap_cloud(config, name, pool)
        return config

    def _address(self, node_id: str, internal: bool) -> str:
        cloud, key = self._cloud(node_id)
        if cloud:
            address = cloud.provider.internal_ip(key) if internal else cloud.provider.external_ip(key)
            return str(address)
        host = key.split("@")[0] or node_id
        return socket.gethostbyname(host)

    def _cloud(self, node_id: str) -> tuple[Cloud | None, str]:
        """The cloud that has a node, and the node's id there; None for nodes of hosts."""
        name, _, key = node_id.partition("/")
        lane = self._fleet.lanes.get(name)
        return (lane.pool if lane and isinstance(lane.pool, Cloud) else None), key


def _bootstrap_cloud(config: dict[str, Any], name: str, pool: CloudPool) -> None:
    """Complete a pool's node types. Clouds give the head more rights: no worker stands in for one that is elsewhere."""
    kinds = {kind: config["available_node_types"][kind] for kind in pool.node_types}
    head = config["head_node_type"] if config["head_node_type"] in kinds else HEAD_ELSEWHERE
    kinds.setdefault(head, copy.deepcopy(next(iter(kinds.values()))))
    part = {
        **config,
        "cluster_name": child_cluster_name(config["cluster_name"], name),
        "provider": dict(pool.provider),
        "auth": {**config.get("auth", {}), **pool.auth},
        "available_node_types": copy.deepcopy(kinds),
        "head_node_type": head,
    }
    for kind in part["available_node_types"].values():
        kind["node_config"].pop("pool", None)
    done = _get_node_provider_cls(part["provider"]).bootstrap_config(part)
    done["available_node_types"].pop(HEAD_ELSEWHERE, None)
    config["available_node_types"].update(done["available_node_types"])
    section = config["provider"]["pools"][name]
    section.update(provider=done["provider"], auth=done["auth"])
