"""What is done to the cluster: replicas, Serve's controller, a worker and the head die; a drain; an update."""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from benchmarks.chaos_cluster import Cluster
from benchmarks.chaos_profile import changed

STAGES = ("Embedder", "Guard", "Retriever", "Reranker", "Validator", "LLM:quote", "Ingress")
HEADLESS_S = 5.0
NOTICE_S = 120
"""How long before a spot machine's end its node is drained: AWS's notice."""
REPLACED_S = 10.0
"""After the loss of a worker, until a new one is there."""
POLL_S = 0.5


@dataclass(frozen=True, slots=True)
class Fault:
    """`do` returns what exactly it did; the cluster is whole again when nothing is missing."""

    name: str
    do: Callable[[], Awaitable[str]]


def faults(cluster: Cluster, config: dict[str, Any]) -> list[Fault]:
    """All of them, in the order of a run. `config` is what runs."""
    killing = [Fault(f"kill {stage}", lambda stage=stage: kill(cluster, stage)) for stage in STAGES]  # type: ignore[misc]
    grace_s = max(deployment["graceful_shutdown_timeout_s"] for deployment in config["applications"][0]["deployments"])
    return [
        *killing,
        Fault("kill controller", lambda: kill_controller(cluster)),
        Fault("lose worker", lambda: lose_worker(cluster)),
        Fault("drain worker", lambda: drain_worker(cluster, grace_s)),
        Fault("restart head", lambda: restart_head(cluster)),
        Fault("rolling update", lambda: update(cluster, config)),
    ]


async def kill(cluster: Cluster, deployment: str) -> str:
    """Kill -9 one replica."""
    replica = cluster.chance.choice(cluster.replicas(deployment))
    replica.kill()
    return f"process {replica.pid}"


async def kill_controller(cluster: Cluster) -> str:
    (controller,) = cluster.head.processes("ServeController")
    controller.kill()
    return f"process {controller.pid}"


async def lose_worker(cluster: Cluster) -> str:
    """Kill every process of a machine at once; it is switched on again later, as a new node."""
    machine = cluster.chance.choice(list(cluster.workers.values()))
    await asyncio.to_thread(machine.end)
    await asyncio.sleep(REPLACED_S)
    await asyncio.to_thread(machine.start)
    return f"{machine.address}, replaced after {REPLACED_S:g} s"


async def drain_worker(cluster: Cluster, grace_s: float) -> str:
    """A spot notice: the node is drained, and gone when its replicas are elsewhere or its time is up.

    Raises RuntimeError where it cannot be drained.
    """
    machine = cluster.chance.choice(list(cluster.workers.values()))
    command = (sys.executable, "-m", "cluster.spot", "drain", f"--seconds={NOTICE_S}", f"--grace={grace_s}")
    began = time.monotonic()
    said, _ = await asyncio.to_thread(machine.begin(*command).communicate)
    if "not drained" in said:
        raise RuntimeError(said)
    took = time.monotonic() - began
    left = len(machine.processes("ServeReplica")) if machine.on else 0
    await asyncio.to_thread(machine.end)
    await asyncio.to_thread(machine.start)
    return f"{machine.address}, off after {took:.0f} s with {left} replicas on it"


async def restart_head(cluster: Cluster) -> str:
    """Kill every process of the head, and start it again on its tables."""
    await asyncio.to_thread(cluster.head.end)
    await asyncio.sleep(HEADLESS_S)
    await asyncio.to_thread(cluster.head.start)
    return f"off for {HEADLESS_S:g} s"


async def update(cluster: Cluster, config: dict[str, Any]) -> str:
    """Deploy another setting, which restarts every replica."""
    before = [replica for stage in STAGES for replica in cluster.replicas(stage)]
    await cluster.deploy(changed(config))
    while any(replica.is_running() for replica in before):  # noqa: ASYNC110  they tell nobody
        await asyncio.sleep(POLL_S)
    return f"stage_timeout_s changed, {len(before)} replicas replaced"
