"""The Ray node of this machine, and how its head is asked to drain it. The only file here that knows Ray."""

import time
from typing import Any

import ray
from ray._private import services
from ray.core.generated import autoscaler_pb2

RPC_S = 5


class NotDrained(Exception):
    """The head did not take the drain: no Ray node here, no answer, or a refusal."""


def node_ids() -> set[str]:
    """The ids of the Ray nodes whose raylet runs on this machine."""
    return set(services.find_node_ids())


class RayNode:
    """The one Ray node of this machine.

    `grace_s` is the longest `graceful_shutdown_timeout_s` of the application. So long before a node's deadline Serve
    stops its replicas whether others stand ready or not: a deadline that is nearer would stop them at once.
    """

    def __init__(self, address: str, grace_s: float):
        self._address, self._grace_s = address, grace_s

    def drain(self, reason: str, stop_in_s: float | None) -> None:
        """Ask the head to place nothing here any more, and Serve to start replacements elsewhere first.

        Replicas stop when theirs are ready, and after `stop_in_s` in any case; None: as long as it takes.
        Raises NotDrained.
        """
        deadline = 0 if stop_in_s is None else int((time.time() + stop_in_s + self._grace_s) * 1000)
        found = node_ids()
        if len(found) != 1:
            raise NotDrained(f"{len(found)} Ray nodes run on this machine, not one")
        preemption = autoscaler_pb2.DrainNodeReason.Value("DRAIN_NODE_REASON_PREEMPTION")
        try:
            accepted, why = self._head().drain_node(found.pop(), preemption, reason, deadline, timeout=RPC_S)
        except (ConnectionError, ray.exceptions.RayError) as error:
            raise NotDrained(f"the head at {self._address} does not answer: {error}") from None
        if not accepted:
            raise NotDrained(f"the head refused: {why}")

    def reaches_head(self) -> bool:
        """Whether the head answers, without which nothing can move."""
        try:
            self._head().check_alive([], timeout=RPC_S)
        except (ConnectionError, ray.exceptions.RayError):
            return False
        return True

    def _head(self) -> Any:
        return ray._raylet.GcsClient(address=services.canonicalize_bootstrap_address(self._address))
