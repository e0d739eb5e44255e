"""What the fleet asks of a pool's mechanism. Ids here are the pool's own, without its name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Tags = dict[str, str]

TAG_KIND, TAG_TYPE = "ray-node-type", "ray-user-node-type"
"""Ray's names of the tags for head or worker and for the node type; Ray is not imported here."""


@dataclass(frozen=True)
class Node:
    """A node that exists. `host` is where it runs in a pool of hosts; what joined by itself is not managed."""

    node_type: str
    tags: Tags
    running: bool = True
    host: str | None = None
    managed: bool = True


@dataclass(frozen=True)
class Order:
    """A launch that was granted."""

    node_type: str
    count: int
    hosts: tuple[str, ...] = ()
    tags: Tags = field(default_factory=dict)
    node_config: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, float] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """How a launch ended: the nodes it started, and (host or node type, reason) of what failed."""

    started: Mapping[str, Node]
    failed: Sequence[tuple[str, str]] = ()


class Listener(Protocol):
    """Told of what happens to a host or node type between a launch and its end."""

    def failed(self, thing: str, reason: str) -> None: ...

    def joined(self, thing: str) -> None: ...


class Mechanism(Protocol):
    """Starts, lists and ends the nodes of one pool. Called from several threads; may block, the fleet does not wait."""

    def listen(self, listener: Listener) -> None:
        """Name the one who is told; before anything is launched."""

    def launch(self, order: Order) -> Outcome:
        """Start nodes; whatever it raises fails the whole order."""

    def nodes(self) -> Mapping[str, Node]:
        """Everything that exists, those found running after a restart included."""

    def terminate(self, node_id: str) -> None:
        """End a node; one that is gone already is no error."""

    def tag(self, node_id: str, tags: Tags) -> None:
        """Set tags of a node."""


class LaunchRefused(Exception):
    """A launch that may not be made, with the pool and the reason."""
