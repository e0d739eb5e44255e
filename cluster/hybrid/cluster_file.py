"""A hybrid cluster file as a whole: the `provider` section against the node types. Problems name field and line."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from cluster.hybrid.config import HybridConfig, Workload

Place = tuple[str | int, ...]
Where = Callable[[Place], str]


class BadClusterFile(Exception):
    """A cluster file that cannot work; `problems` has one line for each reason."""

    def __init__(self, problems: list[str]):
        super().__init__("\n".join(problems))
        self.problems = problems

    def __reduce__(self) -> tuple[type["BadClusterFile"], tuple[list[str]]]:
        return type(self), (self.problems,)


@dataclass(frozen=True)
class NodeType:
    """What a node of a type has."""

    resources: dict[str, float]
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> float:
        """Its GPUs, or its cores where it has none: what prices are compared by."""
        return self.resources.get("GPU") or self.resources.get("CPU") or 1.0

    def fits(self, workload: Workload) -> bool:
        """Whether one replica of a workload can run on an empty node."""
        enough = all(self.resources.get(name, 0) >= wanted for name, wanted in workload.resources.items())
        return enough and workload.labels.items() <= self.labels.items()


@dataclass(frozen=True)
class ClusterFile:
    """A checked file."""

    provider: HybridConfig
    node_types: dict[str, NodeType]
    raw: dict[str, Any]

    @property
    def sizes(self) -> dict[str, float]:
        return {name: kind.size for name, kind in self.node_types.items()}


def read_cluster_file(path: Path) -> ClusterFile:
    """Read and check a file; BadClusterFile names every problem with its line."""
    text = path.expanduser().read_text()
    raw = yaml.safe_load(text)
    tree = yaml.compose(text)
    return check(raw, lambda place: f"{path.name}:{_line(tree, place)}: ")


def check(raw: Mapping[str, Any], where: Where = lambda place: "") -> ClusterFile:
    """Check a file's content; `where` turns a place into the start of a message."""
    try:
        config = HybridConfig.model_validate(raw.get("provider", {}))
    except ValidationError as error:
        raise BadClusterFile([_problem(_place(e["loc"]), e["msg"], where) for e in error.errors()]) from None
    kinds = raw.get("available_node_types") or {}
    shapes = {n: NodeType(dict(k.get("resources") or {}), dict(k.get("labels") or {})) for n, k in kinds.items()}
    problems = [*_type_problems(config, raw), *_workload_problems(config, shapes)]
    if problems:
        raise BadClusterFile([_problem(place, text, where) for place, text in problems])
    return ClusterFile(config, shapes, dict(raw))


def _type_problems(config: HybridConfig, raw: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    kinds = raw.get("available_node_types") or {}
    head = raw.get("head_node_type")
    if "max_workers" not in raw:
        yield (), "max_workers: the limit of the whole cluster is missing"
    for name, pool in config.pools.items():
        for kind in pool.node_types:
            if kind not in kinds:
                yield ("provider", "pools", name, "node_types", kind), "no such node type in available_node_types"
    for kind, settings in kinds.items():
        place: Place = ("available_node_types", kind)
        named = (settings.get("node_config") or {}).get("pool")
        if named not in (None, config.pool_of(kind)):
            yield (*place, "node_config", "pool"), f"unknown pool {named}, or not the pool that has this node type"
        elif kind != head and config.pool_of(kind) is None:
            yield place, "no pool has this node type"
        if kind != head and settings.get("min_workers", 0) > _least(config, kind):
            yield (*place, "min_workers"), "set min_nodes of the node type in its pool instead"


def _least(config: HybridConfig, kind: str) -> int:
    """What the provider itself may have written as the least number of a node type."""
    pool = config.pool_of(kind)
    return config.pools[pool].node_types[kind].min_nodes if pool else 0


def _workload_problems(config: HybridConfig, shapes: Mapping[str, NodeType]) -> Iterator[tuple[Place, str]]:
    for number, workload in enumerate(config.workloads):
        place: Place = ("provider", "workloads", number)
        fitting = [kind for kind, shape in shapes.items() if config.pool_of(kind) and shape.fits(workload)]
        private = [kind for kind in fitting if config.pools[str(config.pool_of(kind))].private]
        if not fitting:
            yield place, f"no node type can carry {workload.name} ({workload.resources}, labels {workload.labels})"
        elif workload.private and not private:
            yield place, f"no node type of a private pool can carry {workload.name}"


def _place(loc: tuple[str | int, ...]) -> Place:
    """Where a field stands in the file: pydantic puts a pool's kind after its name."""
    tagged = len(loc) > 2 and loc[0] == "pools" and loc[2] in ("onprem", "local", "cloud")
    return ("provider", *(loc[:2] + loc[3:] if tagged else loc))


def _problem(place: Place, text: str, where: Where) -> str:
    name = ".".join(str(part) for part in place)
    return f"{where(place)}{name + ': ' if name else ''}{text.removeprefix('Value error, ')}"


def _line(node: yaml.Node | None, place: Place) -> int:
    """The line of the deepest part of a place that the file has."""
    line = node.start_mark.line + 1 if node else 1
    for part in place:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == part), None)
            if found is None:
                continue
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
    return line
