"""Hosts that join the cluster by themselves: they are counted, and never started, ended or shown to the autoscaler.

Ray's autoscaler leaves nodes without an instance id alone, and Ray fills them before any demand is left over.
"""

import socket
from collections.abc import Mapping

from cluster.hybrid.config import OnPremPool
from cluster.hybrid.pool import Listener, Node, Order, Outcome, Tags
from cluster.hybrid.surroundings import Surroundings


class JoinedHosts:
    """The mechanism of a pool with `start: joined`. A host is present when the cluster sees a node at its address."""

    def __init__(self, config: OnPremPool, around: Surroundings):
        (self._node_type,) = config.node_types
        self._view = around.view
        self._hosts = config.hosts
        self._addresses: dict[str, str] = {}

    def listen(self, listener: Listener) -> None:
        return None

    def launch(self, order: Order) -> Outcome:
        return Outcome({}, [(host, "this host joins by itself") for host in order.hosts])

    def nodes(self) -> Mapping[str, Node]:
        present = {seen.address for key, seen in self._view().items() if key.startswith("unmanaged:")}
        return {
            host: Node(self._node_type, {}, host=host, managed=False)
            for host in self._hosts
            if self._address(host) in present
        }

    def terminate(self, node_id: str) -> None:
        return None

    def tag(self, node_id: str, tags: Tags) -> None:
        return None

    def _address(self, host: str) -> str | None:
        """The host's address, looked up once; None while it has none."""
        if host not in self._addresses:
            try:
                self._addresses[host] = socket.gethostbyname(host)
            except OSError:
                return None
        return self._addresses[host]
