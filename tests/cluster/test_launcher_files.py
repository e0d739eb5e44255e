"""Every file of Ray's cluster launcher passes Ray's schema, holds its application and closes what must be closed."""

import re
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from cluster.hybrid.config import HybridConfig
from deployments.cluster_check import demands, faults
from deployments.ending import cluster_faults
from deployments.settings import ROOT, Settings

CLUSTER = ROOT / "cluster"
SERVES = {
    "hybrid": "gpu.yaml",
    "onprem": "gpu.yaml",
    "aws": "cloud.yaml",
    "gcp": "cloud.yaml",
    "azure": "cloud.yaml",
}
SHUT = {8265, 8404, 9101, 10001}
"""The dashboard, HAProxy's statistics and metrics, and Ray's client server."""


def load(name: str) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load((CLUSTER / f"{name}.yaml").read_text())
    return config


@pytest.mark.parametrize("name", SERVES)
def test_a_file_passes_rays_schema(name: str) -> None:
    validate_config(prepare_config(load(name)))


def test_rays_schema_refuses_what_it_does_not_know() -> None:
    config = prepare_config(load("aws"))
    config["available_node_types"]["gpu"]["resource"] = {}
    with pytest.raises(ValidationError, match="resource"):
        validate_config(config)


@pytest.mark.parametrize(("name", "serve"), SERVES.items())
def test_a_cluster_can_hold_its_application(name: str, serve: str) -> None:
    cluster, application = (CLUSTER / f"{name}.yaml").read_text(), (CLUSTER / serve).read_text()
    assert faults(cluster, application) == []
    assert cluster_faults(cluster, yaml.safe_load(application)) == []


@pytest.mark.parametrize("name", SERVES)
def test_every_node_needs_the_token(name: str) -> None:
    config = load(name)
    options = config["docker"]["run_options"]
    assert "-e RAY_AUTH_MODE=token" in options
    path = next(o.partition("RAY_AUTH_TOKEN_PATH=")[2] for o in options if "RAY_AUTH_TOKEN_PATH=" in o)
    assert path.rpartition("/")[0] in config["file_mounts"]
    joins = re.findall(r"docker run .*?ray start [^\n]*", (CLUSTER / f"{name}.yaml").read_text(), re.DOTALL)
    assert bool(joins) == (name == "hybrid")
    for join in joins:
        assert "--env=RAY_AUTH_MODE=token" in join
        assert f"--env=RAY_AUTH_TOKEN_PATH={path}" in join


@pytest.mark.parametrize("name", SERVES)
def test_no_secret_stands_in_a_file(name: str) -> None:
    text = (CLUSTER / f"{name}.yaml").read_text()
    assert not re.search(r"(AUTH_TOKEN|PASSWORD|SECRET|API_KEY)\s*[=:]\s*\S", text)


@pytest.mark.parametrize("name", SERVES)
def test_what_only_this_machine_may_reach_is_shut(name: str) -> None:
    config = load(name)
    (head,) = (command for command in config["head_start_ray_commands"] if "cluster.head" in command)
    assert "--dashboard-host=127.0.0.1" in head
    assert "--ray-client-server-port=10001" in head
    text = (CLUSTER / f"{name}.yaml").read_text()
    rules = re.findall(r'iifname != "lo" tcp dport \{([\d, ]+)\} drop', text)
    assert len(rules) == (3 if name == "hybrid" else 1)
    assert all({int(port) for port in rule.split(",")} == SHUT for rule in rules)
    assert config["initialization_commands"]


@pytest.mark.parametrize("name", SERVES)
def test_the_head_can_die_and_the_nodes_wait_for_it(name: str) -> None:
    config = load(name)
    (head,) = (command for command in config["head_start_ray_commands"] if "cluster.head" in command)
    assert head.startswith("python -m cluster.head --detach ")
    options = config["docker"]["head_run_options"]
    assert "-e RAY_gcs_storage=rocksdb" in options
    path = next(option.partition("RAY_gcs_storage_path=")[2] for option in options if "storage_path" in option)
    assert any(path.startswith(f"{option.rpartition(':')[2]}/") for option in options if option.startswith("-v "))
    wait = "RAY_gcs_rpc_server_reconnect_timeout_s=600"
    assert f"-e {wait}" in config["docker"]["run_options"]
    joins = [pool["start_command"] for pool in config["provider"].get("pools", {}).values() if "start_command" in pool]
    assert all(f"--env={wait}" in join for join in joins)


@pytest.mark.parametrize("name", SERVES)
def test_prometheus_finds_every_node_at_one_port(name: str) -> None:
    text = (CLUSTER / f"{name}.yaml").read_text()
    starts = re.findall(r"ray start --|cluster\.head --", text)
    assert len(starts) == (4 if name == "hybrid" else 2)
    assert text.count(" --metrics-export-port=8080") == len(starts)


def test_the_hybrid_head_reaches_hosts_and_cloud_and_looks_every_second() -> None:
    config = load("hybrid")
    options = config["docker"]["head_run_options"]
    assert any(option.startswith("-e AUTOSCALER_UPDATE_INTERVAL_S=1") for option in options)
    home = "/home/raglan"
    keys = {pool["ssh"]["key"].replace("~", home) for pool in config["provider"]["pools"].values() if "ssh" in pool}
    mounted = {option.split(":")[1] for option in options if option.startswith("-v ")}
    assert {*keys, f"{home}/.aws"} <= mounted
    image = (ROOT / "Dockerfile").read_text()
    assert image.count(" openssh-client rsync ") == image.count("apt-get install")


@pytest.mark.parametrize("name", ["hybrid", "aws", "gcp", "azure"])
def test_a_node_of_a_cloud_watches_for_its_end(name: str) -> None:
    start, watch = load(name)["worker_start_ray_commands"][-2:]
    assert start.startswith("ray start ")
    assert re.match(r"setsid --fork python -m cluster\.spot watch --grace=\d+ >", watch)


@pytest.mark.parametrize("name", ["hybrid", "aws", "gcp", "azure"])
def test_no_node_of_a_cloud_has_a_public_address(name: str) -> None:
    provider = load(name)["provider"]
    assert provider["use_internal_ips"]
    for pool in provider.get("pools", {}).values():
        assert pool["kind"] != "cloud" or pool["provider"]["use_internal_ips"]


@pytest.mark.parametrize("name", ["hybrid", "aws", "gcp", "azure"])
def test_priority_decides_between_types_of_a_kind(name: str) -> None:
    """Ray's autoscaler compares how well types are used before their priority, so their resources must be equal."""
    types = load(name)["available_node_types"]
    gpus = {kind: node for kind, node in types.items() if "GPU" in node["resources"]}
    assert len({str(node["resources"]) for node in gpus.values()}) == 1
    priorities = {kind: node["priority"] for kind, node in types.items() if kind != "head"}
    assert len(set(priorities.values())) == len(priorities)
    spot = next(kind for kind in gpus if kind.endswith("spot"))
    assert priorities[spot] > priorities[spot.removesuffix("-spot")]
    if name == "hybrid":
        assert min(p for k, p in priorities.items() if "onprem" in k) > max(
            p for k, p in priorities.items() if "aws" in k
        )


def test_the_hybrid_file_declares_what_must_stay_private() -> None:
    settings = Settings.load(yaml.safe_load((CLUSTER / "gpu.yaml").read_text())["applications"][0]["args"])
    kept = {"Retriever", *(f"LLM:{model.id}" for model in settings.models if model.private)}
    declared = {load["name"]: load for load in load("hybrid")["provider"]["workloads"]}
    for demand in demands(settings):
        workload = declared.pop(demand.deployment)
        assert workload["resources"] == dict(demand.resources)
        assert workload.get("private", False) == (demand.deployment in kept)
        assert workload.get("labels", {}) == (dict(demand.choices[0]) if demand.deployment in kept else {})
    assert not declared


def test_the_hybrid_files_pools_are_what_the_provider_takes() -> None:
    HybridConfig.model_validate(load("hybrid")["provider"])


def test_only_hosts_with_gpus_ask_docker_for_them() -> None:
    config = load("hybrid")
    for name, pool in config["provider"]["pools"].items():
        if "start_command" in pool:
            (kind,) = pool["node_types"]
            gpus = "GPU" in config["available_node_types"][kind]["resources"]
            assert ("--gpus=all" in pool["start_command"]) == gpus, name
