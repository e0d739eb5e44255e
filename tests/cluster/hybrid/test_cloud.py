"""Cloud pools over a child provider of Ray's kind, and the provider that Ray itself sees."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from ray.autoscaler import tags as ray_tags
from ray.autoscaler._private import commands
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.node_provider import NodeProvider

from cluster.hybrid.cloud import Cloud
from cluster.hybrid.cluster_file import BadClusterFile
from cluster.hybrid.command_runner import AlreadyStarted
from cluster.hybrid.config import CloudPool
from cluster.hybrid.pool import TAG_KIND, TAG_TYPE, Order
from cluster.hybrid.provider import HybridNodeProvider
from tests.cluster.hybrid.fakes import Clock
from tests.cluster.hybrid.harness import cluster_file, hybrid
from tests.cluster.hybrid.test_fleet import until
from tests.cluster.hybrid.test_hosts import Told

MODULE = f"{__name__}.Child"
WORKER = {TAG_KIND: "worker", TAG_TYPE: "cloud-gpu", "ray-launch-request": "r1"}


class Child(NodeProvider):  # type: ignore[misc]
    """A cloud's provider: it lists late when told so, and names what it made unless it is silent."""

    late, silent, short = False, False, 0

    def __init__(self, provider_config: dict[str, Any], cluster_name: str):
        super().__init__(provider_config, cluster_name)
        self.made: dict[str, dict[str, str]] = {}

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> list[str]:
        return [] if self.late else list(self.made)

    def is_running(self, node_id: str) -> bool:
        return True

    def node_tags(self, node_id: str) -> dict[str, str]:
        return self.made[node_id]

    def set_node_tags(self, node_id: str, tags: dict[str, str]) -> None:
        self.made[node_id].update(tags)

    def create_node_with_resources_and_labels(
        self, node_config: Any, tags: dict[str, str], count: int, resources: Any, labels: Any
    ) -> dict[str, Any] | None:
        names = [f"i-{len(self.made) + n}" for n in range(count - self.short)]
        self.made.update({name: dict(tags) for name in names})
        return None if self.silent else dict.fromkeys(names)

    def terminate_node(self, node_id: str) -> None:
        del self.made[node_id]

    def internal_ip(self, node_id: str) -> str:
        return f"10.0.0.{node_id[2:]}"

    def get_command_runner(self, *arguments: Any, **_: Any) -> Any:
        return ("runner", *arguments)

    @staticmethod
    def bootstrap_config(cluster_config: dict[str, Any]) -> dict[str, Any]:
        assert "pool" not in cluster_config["available_node_types"]["cloud-gpu"]["node_config"]
        kinds = cluster_config["available_node_types"]
        kinds["cloud-gpu"]["node_config"]["Subnet"] = cluster_config["cluster_name"]
        kinds[cluster_config["head_node_type"]]["node_config"]["Role"] = "starts machines"
        cluster_config["provider"]["project"] = "p1"
        return cluster_config


def cloud(**ways: Any) -> tuple[Cloud, Child, Clock, Told]:
    pool = CloudPool(kind="cloud", provider={"type": "external", "module": MODULE}, node_types={"cloud-gpu": {}})
    clock, told = Clock(), Told()
    made = Cloud("spot", pool, "test", clock)
    made.listen(told)
    for name, value in ways.items():
        setattr(made.provider, name, value)
    return made, made.provider, clock, told


def test_each_pool_has_a_cluster_name_of_its_own() -> None:
    assert cloud()[1].cluster_name == "test-spot"


def test_what_was_created_is_believed_before_it_is_listed_and_not_for_ever() -> None:
    pool, _, clock, _ = cloud(late=True)
    assert list(pool.launch(Order("cloud-gpu", 2, tags=dict(WORKER))).started) == ["i-0", "i-1"]
    assert [node.running for node in pool.nodes().values()] == [False, False]
    clock.now += 121
    assert pool.nodes() == {}


def test_what_was_ended_before_it_was_listed_is_not_believed() -> None:
    pool, _, _, _ = cloud(late=True)
    (node_id,) = pool.launch(Order("cloud-gpu", 1, tags=dict(WORKER))).started
    pool.terminate(node_id)
    assert pool.nodes() == {}


def test_a_cloud_that_names_nothing_is_listed() -> None:
    pool, child, _, _ = cloud(silent=True)
    child.made["i-old"] = {**WORKER, "ray-launch-request": "r0"}
    assert list(pool.launch(Order("cloud-gpu", 1, tags=dict(WORKER))).started) == ["i-1"]


def test_a_cloud_that_creates_fewer_says_so() -> None:
    pool, _, _, _ = cloud(short=1)
    outcome = pool.launch(Order("cloud-gpu", 3, tags=dict(WORKER)))
    assert (len(outcome.started), outcome.failed) == (2, [("cloud-gpu", "the cloud created 2 of 3")])


def test_an_installation_that_fails_or_succeeds_is_told() -> None:
    pool, _, _, told = cloud()
    pool.launch(Order("cloud-gpu", 1, tags=dict(WORKER)))
    pool.nodes()
    pool.tag("i-0", {ray_tags.TAG_RAY_NODE_STATUS: ray_tags.STATUS_UPDATE_FAILED})
    pool.tag("i-0", {ray_tags.TAG_RAY_NODE_STATUS: ray_tags.STATUS_UP_TO_DATE})
    assert told.news == [("cloud-gpu", "Ray could not be installed on i-0"), ("cloud-gpu",)]
    pool.terminate("i-0")
    assert pool.nodes() == {}


def section() -> dict[str, Any]:
    made = hybrid(["127.0.0.1"], {"nodes": 1})
    made["pools"]["cloud"]["provider"]["module"] = MODULE
    made["pools"]["cloud"]["auth"] = {"ssh_user": "ec2-user"}
    return made


def provider() -> HybridNodeProvider:
    made = HybridNodeProvider(section(), "test")
    made.non_terminated_nodes({})
    return made


def one_cloud_node(made: HybridNodeProvider) -> str:
    made.create_node_with_resources_and_labels({"pool": "cloud"}, dict(WORKER), 1, {"GPU": 1}, {})
    workers = partial(made.non_terminated_nodes, {TAG_KIND: "worker"})
    until(lambda: bool(workers()))
    return workers()[0]


def test_rays_tag_names_are_those_used_here() -> None:
    assert (ray_tags.TAG_RAY_NODE_KIND, ray_tags.TAG_RAY_USER_NODE_TYPE) == (TAG_KIND, TAG_TYPE)


def test_the_provider_lists_tags_addresses_and_ends() -> None:
    made = provider()
    node_id = one_cloud_node(made)
    assert node_id == "cloud/i-0"
    assert made.node_tags(node_id) == WORKER
    assert made.internal_ip(node_id) == "10.0.0.0"
    assert made.non_terminated_nodes({TAG_KIND: "head"}) == []
    made.set_node_tags(node_id, {"x": "y"})
    assert made.node_tags(node_id)["x"] == "y"
    made.terminate_node(node_id)
    assert made.is_terminated(node_id)
    assert made.node_tags("cloud/i-404") == {}


def test_a_refusal_is_an_exception_that_ray_reports() -> None:
    made = provider()
    one_cloud_node(made)
    with pytest.raises(NodeLaunchException, match="cloud: budget of 1 nodes"):
        made.create_node_with_resources_and_labels({}, dict(WORKER), 1, {}, {})


def test_the_clouds_runner_gets_the_pools_login_and_the_clouds_own_id() -> None:
    made = provider()
    runner = made.get_command_runner("log", one_cloud_node(made), {"ssh_user": "ubuntu"}, "test", None, True, None)
    assert runner == ("runner", "log", "i-0", {"ssh_user": "ec2-user"}, "test", None, True, None)


def test_nothing_is_installed_on_hosts_that_the_pool_started() -> None:
    runner = provider().get_command_runner("log", "onprem/127.0.0.1@1", {}, "test", None, True)
    assert isinstance(runner, AlreadyStarted)
    assert runner.run("uptime", timeout=5) == ""
    assert runner.run_init(as_head=False, file_mounts={}, sync_run_yet=True)
    assert provider().internal_ip("onprem/127.0.0.1@1") == "127.0.0.1"


def test_ray_up_prepares_a_file_that_the_provider_accepts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    config = cluster_file(section(), onprem_gpu={}, cloud_gpu={})
    prepared = commands._bootstrap_config(config)["provider"]
    assert "_config_cache_path" in prepared
    assert HybridNodeProvider(prepared, "test").non_terminated_nodes({}) == []


def test_bootstrap_completes_each_cloud_under_its_own_name_and_refuses_a_bad_file() -> None:
    config = cluster_file(section(), onprem_gpu={}, cloud_gpu={"node_config": {"pool": "cloud"}})
    done = HybridNodeProvider.bootstrap_config(config)
    assert done["available_node_types"]["cloud-gpu"]["node_config"] == {"Subnet": "test-cloud"}
    assert set(done["available_node_types"]) == {"head", "onprem-gpu", "cloud-gpu"}
    assert done["provider"]["pools"]["cloud"]["provider"]["project"] == "p1"
    assert "project" not in config["provider"]["pools"]["cloud"]["provider"]
    del config["available_node_types"]["cloud-gpu"]
    with pytest.raises(BadClusterFile, match="no such node type"):
        HybridNodeProvider.bootstrap_config(config)
