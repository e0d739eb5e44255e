"""Bad cluster files: refused before anything starts, with the field and the line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster.hybrid.cluster_file import BadClusterFile, check, read_cluster_file
from tests.cluster.hybrid.harness import cluster_file, hybrid


def whole(**provider: Any) -> dict[str, Any]:
    return cluster_file(hybrid(["h1", "h2"], **provider), onprem_gpu={"labels": {"site": "onprem"}}, cloud_gpu={})


def problems(config: dict[str, Any]) -> str:
    with pytest.raises(BadClusterFile) as caught:
        check(config)
    return str(caught.value)


def test_a_good_file_is_read_with_its_node_types() -> None:
    checked = check(whole())
    assert checked.sizes == {"head": 1, "onprem-gpu": 1, "cloud-gpu": 1}
    assert checked.provider.pool_of("cloud-gpu") == "cloud"


def test_hosts_of_two_pools_may_not_overlap() -> None:
    config = whole()
    config["provider"]["pools"]["lab"] = {"kind": "onprem", "hosts": ["h2"], "node_types": {"lab-gpu": {}}}
    assert "host h2 is in the pools onprem and lab" in problems(config)


def test_an_unknown_kind_of_pool_an_unknown_field_and_a_bad_host_are_named() -> None:
    config = whole()
    pools = config["provider"]["pools"]
    pools["onprem"] |= {"hosts": ["h 1"], "speed": 3}
    pools["cloud"]["kind"] = "clout"
    told = problems(config)
    assert "provider.pools.onprem.hosts.0: " in told
    assert "provider.pools.onprem.speed: Extra inputs" in told
    assert "provider.pools.cloud: " in told
    assert "clout" in told


def test_a_node_type_needs_a_pool_and_a_pool_its_node_type() -> None:
    config = whole()
    config["available_node_types"]["stray"] = {"resources": {"CPU": 1}, "node_config": {}}
    del config["available_node_types"]["cloud-gpu"]
    told = problems(config)
    assert "available_node_types.stray: no pool has this node type" in told
    assert "provider.pools.cloud.node_types.cloud-gpu: no such node type" in told


def test_a_node_config_that_names_an_unknown_pool_is_refused() -> None:
    config = whole()
    config["available_node_types"]["cloud-gpu"]["node_config"] = {"pool": "nowhere"}
    assert "available_node_types.cloud-gpu.node_config.pool: unknown pool nowhere" in problems(config)


def test_a_workload_that_no_node_can_carry_is_refused() -> None:
    wants = [{"name": "LLM:big", "resources": {"GPU": 8}}, {"name": "x", "resources": {}, "labels": {"site": "mars"}}]
    told = problems(whole(workloads=wants))
    assert "provider.workloads.0: no node type can carry LLM:big" in told
    assert "provider.workloads.1: no node type can carry x" in told


def test_a_private_workload_needs_a_private_pool_that_fits() -> None:
    wants = [{"name": "Retriever", "resources": {"GPU": 1}, "private": True}]
    config = whole(workloads=wants)
    config["provider"]["pools"]["onprem"]["private"] = False
    assert "Retriever must stay private, and no pool is private" in problems(config)
    config = whole(workloads=wants)
    config["available_node_types"]["onprem-gpu"]["resources"] = {"CPU": 4}
    assert "provider.workloads.0: no node type of a private pool can carry Retriever" in problems(config)


def test_limits_belong_to_the_pools() -> None:
    config = whole()
    config["available_node_types"]["cloud-gpu"]["min_workers"] = 1
    del config["max_workers"]
    told = problems(config)
    assert "available_node_types.cloud-gpu.min_workers: set min_nodes" in told
    assert "max_workers: the limit of the whole cluster is missing" in told


def test_a_file_that_the_provider_has_written_is_still_good() -> None:
    config = whole()
    config["provider"]["pools"]["cloud"]["node_types"]["cloud-gpu"]["min_nodes"] = 2
    config["available_node_types"]["cloud-gpu"] |= {"min_workers": 2, "max_workers": 5, "priority": 1}
    assert check(config).provider.pools["cloud"].node_types["cloud-gpu"].min_nodes == 2


def test_a_file_names_the_line(tmp_path: Path) -> None:
    config = whole(workloads=[{"name": "fine", "resources": {}}, {"name": "big", "resources": {"GPU": 8}}])
    config["provider"]["pools"]["onprem"]["ssh"] = {"port": 70000}
    file = tmp_path / "bad.yaml"
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.raises(BadClusterFile) as caught:
        read_cluster_file(file)
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "port: 70000" in text)
    assert str(caught.value).startswith(f"bad.yaml:{line}: provider.pools.onprem.ssh.port: ")
    config["provider"]["pools"]["onprem"].pop("ssh")
    file.write_text(yaml.safe_dump(config, sort_keys=False))
    with pytest.raises(BadClusterFile) as caught:
        read_cluster_file(file)
    line = next(n for n, text in enumerate(file.read_text().splitlines(), 1) if "name: big" in text)
    assert str(caught.value).startswith(f"bad.yaml:{line}: provider.workloads.1: ")
