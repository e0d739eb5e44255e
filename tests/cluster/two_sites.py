"""Two fake nodes on one machine, labelled onprem and cloud, and on them what cluster/gpu.yaml asks of Ray.

Each deployment has the options that `build` gave it, and a class that does nothing. Writes into the file it is given
where the replicas stood: with both nodes, and after the loss of the one at home.
"""

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ray
import ray._private.state
import yaml
from ray import serve
from ray.cluster_utils import Cluster
from ray.serve import Deployment
from ray.serve.api import _run as run

from deployments.application import build
from deployments.placement import stand_at
from deployments.settings import ROOT

GPUS: dict[str, Any] = {"num_gpus": 8, "resources": {"accelerator_type:H100": 1}}
REPLICAS = {"LLM:llama-70b": 3, "Retriever": 3, "LLM:qwen-7b": 1, "Ingress": 1}
"""Home has room for two of the model's replicas and two Retrievers; then the others find it full."""
SETTLE_S = 6.0
"""Long after a replica that could be placed has been."""
Sites = dict[str, dict[str, int]]


class Idle:
    """A replica without any work."""


class Pinned:
    """A replica that checks where it came to."""

    def __init__(self) -> None:
        stand_at("onprem")


def asked() -> dict[str, Deployment]:
    """The application's deployments by name."""
    known = ray.get_runtime_context
    ray.get_runtime_context = lambda: SimpleNamespace(runtime_env={})
    try:
        ingress = build(yaml.safe_load((ROOT / "cluster" / "gpu.yaml").read_text())["applications"][0]["args"])
    finally:
        ray.get_runtime_context = known
    bound = ingress._bound_deployment
    _, stages = bound.init_args
    return {d.name: d for d in (bound, *(stage._bound_deployment for stage in stages.values()))}


def idle(name: str, original: Deployment) -> serve.Application:
    """`original` without its work."""
    config = original._replica_config
    group = {
        "placement_group_bundles": config.placement_group_bundles,
        "placement_group_strategy": config.placement_group_strategy,
        "placement_group_bundle_label_selector": config.placement_group_bundle_label_selector,
    }
    return serve.deployment(
        Idle,
        name=name,
        num_replicas=REPLICAS[name],
        ray_actor_options={key: v for key, v in config.ray_actor_options.items() if key != "runtime_env"},
        **(group if config.placement_group_bundles else {}),
    ).bind()


def replicas() -> Sites:
    """How many living replicas of each deployment stand at each site; `nowhere` counts those not placed."""
    sites = {node["NodeID"]: node["Labels"].get("site", "head") for node in ray.nodes()}
    counts: dict[str, Counter[str]] = {}
    for actor in ray._private.state.actors().values():
        kind, _, deployment = actor["ActorClassName"].partition(":")
        if kind != "ServeReplica" or actor["State"] == "DEAD":
            continue
        alive = actor["State"] == "ALIVE"
        counts.setdefault(deployment.partition(":")[2], Counter())[
            sites[actor["Address"]["NodeID"]] if alive else "nowhere"
        ] += 1
    return {name: dict(found) for name, found in counts.items()}


def settled(done: Callable[[Counter[str]], bool]) -> Sites:
    """Wait until `done` holds of the replicas at each site, then longer, for those that must not be placed at all."""
    deadline = time.monotonic() + 60
    while not done(sum(map(Counter, replicas().values()), Counter())) and time.monotonic() < deadline:
        time.sleep(0.5)
    time.sleep(SETTLE_S)
    return replicas()


def strange(address: str, token: Path) -> str:
    """What a process with another token hears from the cluster at `address`."""
    token.write_text("s" * 64)
    done = subprocess.run(
        [sys.executable, "-c", "import sys, ray; ray.init(sys.argv[1])", address],
        env={**os.environ, "RAY_AUTH_TOKEN_PATH": str(token)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.stderr if done.returncode else "welcome"


def main(output: Path) -> None:
    """Run it and write what was seen."""
    deployments = asked()
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    home = cluster.add_node(num_cpus=4, labels={"site": "onprem"}, **GPUS)
    cluster.add_node(num_cpus=4, labels={"site": "cloud"}, **GPUS)
    ray.init(address=cluster.address, namespace="serve", log_to_driver=False)
    serve.start(proxy_location="Disabled")
    try:
        for name in ("LLM:llama-70b", "Retriever"):
            run(idle(name, deployments[name]), _blocking=False, name=name.replace(":", "-"), route_prefix=None)
        settled(lambda at: at["onprem"] == 4)
        for name in ("LLM:qwen-7b", "Ingress"):
            run(idle(name, deployments[name]), _blocking=False, name=name.replace(":", "-"), route_prefix=None)
        both = settled(lambda at: at["cloud"] == 2)
        astray = ray.remote(Pinned).options(num_cpus=0, label_selector={"site": "cloud"}).remote()
        try:
            ray.get(astray.__ray_ready__.remote(), timeout=60)
            refused = ""
        except ray.exceptions.ActorDiedError as error:
            refused = str(error)
        stranger = strange(cluster.address, output.with_name("another-token"))
        cluster.remove_node(home, allow_graceful=False)
        alone = settled(lambda at: at["onprem"] == 0)
        seen = {"both": both, "alone": alone, "refused": refused, "stranger": stranger}
        output.write_text(json.dumps(seen))
    finally:
        ray.shutdown()
        cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
