"""The real autoscaler v2 over the hybrid provider: order, exhausted and broken pools, budgets, restarts."""

from pathlib import Path
from typing import Any

import yaml
from ray.autoscaler.node_launch_exception import NodeLaunchException
from ray.autoscaler.node_provider import NodeProvider

from cluster.hybrid.pool import TAG_KIND, TAG_TYPE
from tests.cluster.hybrid.fakes import HEAD, FakeCluster
from tests.cluster.hybrid.harness import cluster_file, start, world


class FullPool(NodeProvider):  # type: ignore[misc]
    """What a plain composite provider does: its on-prem pool is full and says so, its cloud would start nodes."""

    def __init__(self) -> None:
        super().__init__({}, "test")
        self.asked: list[str] = []

    def non_terminated_nodes(self, tag_filters: dict[str, str]) -> list[str]:
        return [HEAD]

    def is_running(self, node_id: str) -> bool:
        return True

    def node_tags(self, node_id: str) -> dict[str, str]:
        return {TAG_KIND: "head", TAG_TYPE: "head"}

    def create_node_with_resources_and_labels(self, node_config: Any, tags: Any, *_: Any) -> None:
        self.asked.append(tags["ray-user-node-type"])
        if self.asked[-1] == "onprem-gpu":
            raise NodeLaunchException("full", "the pool is exhausted", None)


def test_stock_ray_never_asks_the_cloud_when_the_better_pool_is_full(tmp_path: Path) -> None:
    kinds = {"onprem_gpu": {"max_workers": 3, "priority": 2}, "cloud_gpu": {"max_workers": 9, "priority": 1}}
    config = cluster_file({"type": "external", "disable_node_updaters": True}, **kinds)
    file = tmp_path / "stock.yaml"
    file.write_text(yaml.safe_dump(config))
    cluster, provider = FakeCluster(), FullPool()
    cluster.want("actor")
    autoscaler = start(provider, file, cluster, config)
    for _ in range(30):
        autoscaler.update_autoscaling_state()
        autoscaler._cloud_instance_provider._main_executor.submit(int).result()
        autoscaler._cloud_instance_provider._node_launcher_executors.submit(int).result()
    assert len(provider.asked) > 10
    assert set(provider.asked) == {"onprem-gpu"}


def test_a_full_pool_bursts_to_the_cloud(tmp_path: Path) -> None:
    one = world(tmp_path, ["h1"])
    one.cluster.want("a")
    assert one.ticks(4) == ["onprem-gpu"]
    one.cluster.want("b", "c")
    assert one.ticks(4) == ["onprem-gpu", "cloud-gpu", "cloud-gpu"]
    assert one.limits()["onprem-gpu"] == 1


def test_a_host_that_is_down_is_set_aside_and_the_cloud_takes_over(tmp_path: Path) -> None:
    one = world(tmp_path, ["h1"])
    one.starter.down.add("h1")
    one.cluster.want("a")
    assert one.ticks(5) == ["cloud-gpu"]
    assert one.fleet.policy.aside.reason("onprem", "h1", one.clock()) == "Connection refused"
    one.starter.down.clear()
    one.cluster.want("b")
    assert one.ticks(4) == ["cloud-gpu", "cloud-gpu"]
    one.clock.now += 31
    one.ticks(1)
    one.cluster.want("c")
    assert one.ticks(4) == ["cloud-gpu", "cloud-gpu", "onprem-gpu"]


def test_a_broken_cloud_does_not_hold_up_the_hosts(tmp_path: Path) -> None:
    one = world(tmp_path, ["h1", "h2"])
    one.cloud.broken = RuntimeError("quota exceeded")
    one.cloud.silent = RuntimeError("no credentials")
    one.cluster.want("a", "b", "c")
    assert one.ticks(4) == ["onprem-gpu", "onprem-gpu"]
    one.cloud.silent = one.cloud.broken = None
    one.clock.now += 31
    assert one.ticks(5) == ["onprem-gpu", "onprem-gpu", "cloud-gpu"]


def test_what_must_stay_on_prem_waits_and_costs_nothing(tmp_path: Path) -> None:
    one = world(tmp_path, ["h1"])
    one.cluster.want("a", "b", site="onprem")
    assert one.ticks(8) == ["onprem-gpu"]
    assert one.cloud.made == {}


def test_the_budget_holds_against_any_demand(tmp_path: Path) -> None:
    one = world(tmp_path, ["h1"], budget={"per_hour": 5.0})
    one.cluster.want(*"abcdefgh")
    assert sorted(one.ticks(8)) == ["cloud-gpu", "cloud-gpu", "onprem-gpu"]
    assert one.limits() == {"onprem-gpu": 1, "cloud-gpu": 2}


def test_a_restarted_provider_adopts_what_runs(tmp_path: Path) -> None:
    one = world(tmp_path, ["h1"])
    one.cluster.want("a", "b")
    assert sorted(one.ticks(5)) == ["cloud-gpu", "onprem-gpu"]
    two = world(tmp_path, ["h1"], cluster=one.cluster, silent=RuntimeError("the cloud's API is away"))
    assert sorted(two.ticks(4)) == ["cloud-gpu", "onprem-gpu"]
    assert two.fleet.held() == {"onprem-gpu": 1, "cloud-gpu": 1}
    assert two.starter.started == []


def test_a_node_that_died_is_replaced(tmp_path: Path) -> None:
    one = world(tmp_path, ["h1"])
    one.cluster.want("a")
    one.ticks(4)
    (gone,) = (key for key in one.cluster.machines if key.startswith("onprem/"))
    one.cluster.die(gone)
    one.cluster.want("a")
    assert one.ticks(6) == ["onprem-gpu"]
    assert one.starter.stopped == [gone]
    assert len({instance for _, instance in one.starter.started}) == 2
