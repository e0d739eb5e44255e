"""`python -m deployments.cluster_check CLUSTER SERVE`: whether a cluster can hold what a Serve YAML asks of it.

CLUSTER is a file of Ray's cluster launcher or a KubeRay RayService. Nothing is started.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError

from deployments.ending import cluster_faults, longest_draining_s, serve_faults, told
from deployments.placement import ACCELERATOR_SHARE, Labels, Stage
from deployments.settings import ModelConfig, Settings
from deployments.yaml_lines import Place

AWAKE = "only a model with `scaling.to_zero` may have no replica"
Resources = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Demand:
    """What one replica asks of one node: resources, and labels by preference, any of which will do."""

    deployment: str
    resources: Resources
    choices: tuple[Labels, ...]


@dataclass(frozen=True, slots=True)
class NodeType:
    """A kind of node that the cluster may hold."""

    name: str
    resources: Resources
    labels: Labels

    def holds(self, demand: Demand) -> bool:
        """Whether an empty node of this type has room and the labels."""
        room = all(self.resources.get(key, 0) >= wanted for key, wanted in demand.resources.items())
        fits = [all(self.labels.get(key) == value for key, value in labels.items()) for labels in demand.choices]
        return room and (any(fits) or not demand.choices)


def demands(settings: Settings) -> Iterator[Demand]:
    """What a replica of each deployment asks."""
    for name in get_args(Stage):
        place = settings.stage(name)
        yield Demand(name, {"CPU": place.cpus}, place.choices)
    for model in settings.models:
        yield Demand(f"LLM:{model.id}", engine_resources(model), model.placement.choices)


def engine_resources(model: ModelConfig) -> dict[str, float]:
    """All that an engine replica asks with its workers, which stand on one node (STRICT_PACK)."""
    workers = model.engine.get("tensor_parallel_size", 1) * model.engine.get("pipeline_parallel_size", 1)
    bundle: dict[str, float] = dict(model.bundle or ({"CPU": 1} if model.accelerator == "cpu" else {"GPU": 1}))
    if model.accelerator_type:
        bundle[f"accelerator_type:{model.accelerator_type}"] = ACCELERATOR_SHARE
    total = {key: value * workers for key, value in bundle.items()}
    total["CPU"] = total.get("CPU", 0) + model.replica_cpus
    return total


def node_types(cluster: Mapping[str, Any]) -> list[NodeType]:
    """The kinds of node that may hold replicas. Raises ValueError for a file that is neither kind of cluster."""
    if cluster.get("kind") == "RayService":
        groups = cluster["spec"]["rayClusterConfig"]["workerGroupSpecs"]
        return [NodeType(g["groupName"], group_resources(g), g.get("labels", {})) for g in groups if g["maxReplicas"]]
    if "provider" not in cluster:
        raise ValueError("neither a file of Ray's cluster launcher nor a RayService")
    head = cluster.get("head_node_type")
    declared = {**cluster.get("available_node_types", {}), **cluster.get("metadata", {}).get("machines", {})}
    return [
        NodeType(name, node["resources"], node.get("labels", {}))
        for name, node in declared.items()
        if name == head or node.get("max_workers", 1)
    ]


def group_resources(group: Mapping[str, Any]) -> dict[str, float]:
    """A worker group's resources, which Raglan's manifests state in `resources` as Ray's names and plain numbers."""
    return {key: float(value) for key, value in group["resources"].items()}


def faults(cluster_text: str, serve_text: str) -> list[str]:
    """What is wrong in the Serve YAML, each naming its line; empty when the cluster can hold the application."""
    serve = yaml.safe_load(serve_text)
    application = serve["applications"][0]
    try:
        settings = Settings.load(application["args"])
    except ValidationError as error:
        return [told(serve_text, ("applications", 0, "args", *e["loc"]), e["msg"]) for e in error.errors()]
    found = [
        told(
            serve_text,
            ("applications", 0, "deployments", n, "ray_actor_options"),
            f"{deployment['name']}: these options replace its placement; give its CPUs in `args.placement`",
        )
        for n, deployment in enumerate(application["deployments"])
        if settings.sited and "ray_actor_options" in deployment
    ]
    sleepers = {f"LLM:{model.id}" for model in settings.models if model.scaling.to_zero}
    found += [
        told(serve_text, ("applications", 0, "deployments", n), f"{name}: {AWAKE}")
        for n, name in sleeping(application["deployments"])
        if name not in sleepers
    ]
    names = [deployment["name"] for deployment in application["deployments"]]
    cluster = yaml.safe_load(cluster_text)
    types = node_types(cluster)
    for demand in demands(settings):
        if not any(kind.holds(demand) for kind in types):
            place: Place = ("applications", 0, "deployments")
            if demand.deployment in names:
                place = (*place, names.index(demand.deployment))
            found.append(told(serve_text, place, unmet(demand, types)))
    return found + serve_faults(serve_text, settings, longest_draining_s(cluster))


def sleeping(deployments: Sequence[Mapping[str, Any]]) -> Iterator[tuple[int, str]]:
    """The place and the name of each deployment that may have no replica."""
    for n, deployment in enumerate(deployments):
        if deployment.get("autoscaling_config", {}).get("min_replicas") == 0:
            yield n, deployment["name"]


def unmet(demand: Demand, types: list[NodeType]) -> str:
    """Why no node type holds `demand`."""
    wanted = ", ".join(f"{key} {value:g}" for key, value in demand.resources.items())
    where = " or ".join(str(dict(labels)) for labels in demand.choices) or "any label"
    return f"{demand.deployment} asks one node for {wanted} with {where}: none of {[t.name for t in types]} has that"


def main() -> int:
    """Print the faults; exit status 1 when there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cluster", type=Path)
    parser.add_argument("serve", type=Path)
    args = parser.parse_args()
    cluster, serve = args.cluster.read_text(), args.serve.read_text()
    found = [f"{args.serve}: {fault}" for fault in faults(cluster, serve)]
    found += [f"{args.cluster}: {fault}" for fault in cluster_faults(cluster, yaml.safe_load(serve))]
    for fault in found:
        print(fault, file=sys.stderr)
    if not found:
        print(f"{args.cluster} can hold {args.serve}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
