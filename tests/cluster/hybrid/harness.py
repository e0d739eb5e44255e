"""The real autoscaler v2 over a pretended cluster, tick by tick, without a Ray process."""

import time
from concurrent.futures import wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from ray.autoscaler._private import providers
from ray.autoscaler.v2.autoscaler import Autoscaler
from ray.autoscaler.v2.instance_manager.config import FileConfigReader

from cluster.hybrid.assembly import keep_files
from cluster.hybrid.config import HybridConfig
from cluster.hybrid.fleet import Fleet
from cluster.hybrid.hosts import Hosts
from cluster.hybrid.policy import FleetPolicy, terms_of
from cluster.hybrid.provider import HybridNodeProvider
from cluster.hybrid.surroundings import Surroundings
from tests.cluster.hybrid.fakes import Clock, FakeCloud, FakeCluster, FakeStarter

SETTLE_S = 0.04
EMPTY = ("cluster_synced_files", "initialization_commands", "setup_commands", "head_setup_commands")
EMPTY += ("worker_setup_commands", "head_start_ray_commands", "worker_start_ray_commands")
"""What Ray has no default for in a file with an external provider."""


def cluster_file(provider: dict[str, Any], **types: dict[str, Any]) -> dict[str, Any]:
    """A whole cluster file: one GPU per worker type."""
    kinds = {"head": {"resources": {"CPU": 1}, "node_config": {}, "max_workers": 0}}
    for name, more in types.items():
        kinds[name.replace("_", "-")] = {"resources": {"CPU": 1, "GPU": 1}, "node_config": {}, **more}
    return {
        "cluster_name": "test",
        "max_workers": 20,
        "upscaling_speed": 100.0,
        "idle_timeout_minutes": 60,
        "provider": provider,
        "head_node_type": "head",
        "available_node_types": kinds,
        "auth": {},
        "docker": {},
        "file_mounts": {},
        **{key: list[str]() for key in EMPTY},
    }


def hybrid(hosts: list[str], budget: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """The provider section of an on-prem pool and a cloud pool."""
    return {
        "type": "external",
        "module": "cluster.hybrid.provider.HybridNodeProvider",
        "disable_node_updaters": True,
        "pools": {
            "onprem": {"kind": "onprem", "hosts": hosts, "node_types": {"onprem-gpu": {}}, "private": True},
            "cloud": {
                "kind": "cloud",
                "provider": {"type": "external"},
                "node_types": {"cloud-gpu": {"price_per_hour": 2.0}},
                "budget": budget or {},
            },
        },
        **more,
    }


@dataclass
class World:
    """A hybrid cluster under test."""

    file: Path
    cluster: FakeCluster
    starter: FakeStarter
    cloud: FakeCloud
    fleet: Fleet
    clock: Clock
    autoscaler: Autoscaler

    def ticks(self, number: int) -> list[str]:
        """Let the autoscaler work so often; the node types of the live workers afterwards."""
        for _ in range(number):
            assert self.autoscaler.update_autoscaling_state() is not None, "the autoscaler's tick failed"
            self._settle()
        return self.cluster.types()

    def _settle(self) -> None:
        """Until the launches and the ends of this tick are done."""
        adapter = self.autoscaler._cloud_instance_provider
        adapter._main_executor.submit(int).result()
        wait([adapter._node_launcher_executors.submit(int) for _ in range(2)])
        time.sleep(SETTLE_S)
        while any(lane.starting() for lane in self.fleet.lanes.values()):
            time.sleep(SETTLE_S)

    def limits(self) -> dict[str, int]:
        kinds = yaml.safe_load(self.file.read_text())["available_node_types"]
        return {name: kind["max_workers"] for name, kind in kinds.items() if name != "head"}


def start(provider: Any, file: Path, cluster: FakeCluster, config: dict[str, Any]) -> Autoscaler:
    """The autoscaler over a provider object, as Ray's monitor builds it."""
    key = (yaml_key(config["provider"]), config["cluster_name"])
    providers._provider_instances[key] = provider
    return Autoscaler("session", FileConfigReader(str(file)), cluster)


def yaml_key(section: dict[str, Any]) -> str:
    import json

    return json.dumps(section, sort_keys=True)


def world(
    folder: Path, hosts: list[str], cluster: FakeCluster | None = None, silent: Exception | None = None, **more: Any
) -> World:
    """A hybrid cluster with on-prem hosts and a cloud, and the autoscaler over it."""
    config = cluster_file(hybrid(hosts, **more), onprem_gpu={"max_workers": 3}, cloud_gpu={"max_workers": 9})
    config["available_node_types"]["onprem-gpu"]["labels"] = {"site": "onprem"}
    file = folder / "hybrid.yaml"
    file.write_text(yaml.safe_dump(config))
    cluster = cluster or FakeCluster(labels={"onprem-gpu": {"site": "onprem"}})
    clock, starter, cloud = Clock(), FakeStarter(cluster.join), FakeCloud("cloud", cluster.join)
    cloud.silent = silent
    around = Surroundings(file, cluster.address, clock, cluster.view)
    checked = HybridConfig.model_validate({**config["provider"], "state_dir": str(folder)})
    onprem = Hosts("onprem", checked.pools["onprem"], starter, around)  # type: ignore[arg-type]
    policy = FleetPolicy(terms_of(checked), checked.back_off)
    fleet = Fleet(policy, {"onprem": onprem, "cloud": cloud}, around, changed=keep_files(checked, around))
    fleet.nodes()
    provider = HybridNodeProvider(config["provider"], "test", fleet)
    return World(file, cluster, starter, cloud, fleet, clock, start(provider, file, cluster, config))
