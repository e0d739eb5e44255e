"""Which nodes the cluster itself sees: it adopts nodes after a restart, and tells which host never joined."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Seen:
    """A live Ray node: its node type, and whether it is the head."""

    node_type: str
    head: bool = False
    address: str = ""


ClusterView = Callable[[], Mapping[str, Seen]]
"""Live nodes by instance id, as `RAY_CLOUD_INSTANCE_ID` named them, or by `unmanaged:address`."""


def nothing() -> Mapping[str, Seen]:
    """The view where there is no cluster yet, as on the machine that runs `ray up`."""
    return {}


def gcs_view(address: str) -> ClusterView:
    """The view of the cluster whose GCS answers at `address`."""
    from ray._raylet import GcsClient  # type: ignore[attr-defined]
    from ray.autoscaler.v2.sdk import get_cluster_resource_state
    from ray.autoscaler.v2.utils import is_head_node
    from ray.core.generated.autoscaler_pb2 import NodeStatus

    client: Any = GcsClient(address=address)

    def view() -> Mapping[str, Seen]:
        state = get_cluster_resource_state(client)
        alive = (node for node in state.node_states if node.status != NodeStatus.DEAD)
        return {
            node.instance_id or f"unmanaged:{node.node_ip_address}": Seen(
                node.ray_node_type_name, is_head_node(node), node.node_ip_address
            )
            for node in alive
        }

    return view
