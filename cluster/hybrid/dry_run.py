"""What Ray's own scheduler would launch for a demand, and what the pools' policy would grant of it. Starts nothing."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ray.autoscaler.v2.instance_manager.config import NodeTypeConfig
from ray.autoscaler.v2.scheduler import ResourceDemandScheduler, SchedulingRequest
from ray.autoscaler.v2.utils import ResourceRequestUtil
from ray.core.generated.common_pb2 import LABEL_OPERATOR_IN

from cluster.hybrid.cluster_file import ClusterFile
from cluster.hybrid.config import Workload
from cluster.hybrid.policy import FleetPolicy, Limit, terms_of


@dataclass(frozen=True)
class Launch:
    """Nodes that would be started; `refused` tells why not all that the scheduler asks for."""

    pool: str
    node_type: str
    count: int
    per_hour: float
    refused: str = ""


@dataclass(frozen=True)
class Plan:
    """The launches, first filled first, and how many replicas of the demand would find no place."""

    launches: list[Launch]
    unplaced: int


def plan(file: ClusterFile, demand: Sequence[Workload], room: Mapping[str, int] | None = None) -> Plan:
    """The plan for an empty cluster; `room` is the most nodes of a type that a status tells, where it tells one."""
    policy = FleetPolicy(terms_of(file.provider), file.provider.back_off, file.sizes)
    limits = policy.limits({}, (), 0.0)
    kinds = {kind: _node_type(file, kind, limit, room or {}) for kind, limit in limits.items()}
    requests = [_request(workload) for workload in demand for _ in range(workload.count)]
    reply = ResourceDemandScheduler().schedule(
        SchedulingRequest(
            disable_launch_config_check=True,
            node_type_configs=kinds,
            max_num_nodes=file.raw["max_workers"] + 1,
            resource_requests=ResourceRequestUtil.group_by_count(requests),
        )
    )
    asked = {request.instance_type: request.count for request in reply.to_launch}
    granted = list(_grants(policy, {kind: asked[kind] for kind in policy.order if kind in asked}))
    return Plan(granted, len(reply.infeasible_resource_requests))


def lines(made: Plan) -> Iterator[str]:
    """The plan as people read it."""
    yield f"{'pool':<16} {'node type':<20} {'nodes':>5} {'per hour':>10}"
    for launch in made.launches:
        row = f"{launch.pool:<16} {launch.node_type:<20} {launch.count:>5} {launch.per_hour:>10g}"
        yield f"{row}  {launch.refused}".rstrip()
    nodes, cost = sum(launch.count for launch in made.launches), sum(launch.per_hour for launch in made.launches)
    yield f"{'total':<16} {'':<20} {nodes:>5} {cost:>10g}"
    if made.unplaced:
        yield f"{made.unplaced} replicas find no place"


def _grants(policy: FleetPolicy, asked: Mapping[str, int]) -> Iterator[Launch]:
    held: dict[str, int] = {}
    for kind, count in asked.items():
        grant = policy.grant(kind, count, held, (), 0.0)
        held[kind] = grant.count
        pool = policy.pool_of(kind)
        yield Launch(pool, kind, grant.count, grant.count * policy.pools[pool].prices[kind], grant.refused)


def _node_type(file: ClusterFile, kind: str, limit: Limit, room: Mapping[str, int]) -> NodeTypeConfig:
    most, shape = min(limit.most, room.get(kind, limit.most)), file.node_types[kind]
    return NodeTypeConfig(
        name=kind,
        min_worker_nodes=min(limit.least, most),
        max_worker_nodes=most,
        priority=limit.priority,
        resources=dict(shape.resources),
        labels=dict(shape.labels),
    )


def _request(workload: Workload) -> object:
    selectors = [(key, LABEL_OPERATOR_IN, [value]) for key, value in workload.labels.items()]
    return ResourceRequestUtil.make(workload.resources, label_selectors=[selectors] if selectors else None)
