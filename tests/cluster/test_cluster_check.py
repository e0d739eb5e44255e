"""A cluster that cannot hold its application is refused, naming the line."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import ray
import yaml

from deployments.application import build
from deployments.cluster_check import demands, faults, main, node_types
from deployments.settings import ROOT, Settings
from deployments.yaml_lines import line_of
from tests.deployments.test_profiles import deployments

SERVE = (ROOT / "cluster" / "gpu.yaml").read_text()
HYBRID = (ROOT / "cluster" / "hybrid.yaml").read_text()


def changed(text: str, change: Callable[[dict[str, Any]], Any]) -> str:
    config = yaml.safe_load(text)
    change(config)
    return yaml.safe_dump(config)


def line_with(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


def test_what_a_replica_asks_is_what_serve_asks_ray_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "get_runtime_context", lambda: SimpleNamespace(runtime_env={}))
    args = yaml.safe_load(SERVE)["applications"][0]["args"]
    built = deployments(build(args))
    for demand in demands(Settings.load(args)):
        config = built[demand.deployment]._replica_config
        asked = config.placement_group_bundles or [{"CPU": config.ray_actor_options["num_cpus"]}]
        total = {key: sum(bundle.get(key, 0) for bundle in asked) for key in {k for b in asked for k in b}}
        assert total == pytest.approx(dict(demand.resources))


def test_a_private_model_needs_a_pool_at_its_site() -> None:
    def all_in_the_cloud(cluster: dict[str, Any]) -> None:
        cluster["available_node_types"]["onprem-gpu"]["labels"] = {"site": "cloud"}

    (fault,) = faults(changed(HYBRID, all_in_the_cloud), SERVE)
    line = line_with(SERVE, '- name: "LLM:llama-70b"')
    assert fault.startswith(f"line {line}: LLM:llama-70b asks one node for GPU 4")


def test_a_group_that_no_single_node_holds_is_refused() -> None:
    def two_gpus_each(cluster: dict[str, Any]) -> None:
        for node in cluster["available_node_types"].values():
            if "GPU" in node["resources"]:
                node["resources"]["GPU"] = 2

    (fault,) = faults(changed(HYBRID, two_gpus_each), SERVE)
    assert "LLM:llama-70b asks one node for GPU 4" in fault


def test_a_fallback_is_enough_where_data_may_leave() -> None:
    def no_gpu_at_home(cluster: dict[str, Any]) -> None:
        del cluster["available_node_types"]["onprem-gpu"]

    (fault,) = faults(changed(HYBRID, no_gpu_at_home), SERVE)
    assert "LLM:llama-70b" in fault


def test_a_type_that_may_have_no_nodes_holds_nothing() -> None:
    def none_of_them(cluster: dict[str, Any]) -> None:
        cluster["available_node_types"]["onprem-gpu"]["max_workers"] = 0

    assert len(faults(changed(HYBRID, none_of_them), SERVE)) == 1


def test_options_that_would_drop_a_placement_are_refused() -> None:
    serve = SERVE.replace("- name: Retriever\n", "- name: Retriever\n        ray_actor_options: {num_cpus: 1}\n")
    (fault,) = faults(HYBRID, serve)
    assert fault.startswith(f"line {line_with(serve, 'ray_actor_options: {num_cpus')}: Retriever: ")


@pytest.mark.parametrize("name", ["Ingress", "Retriever", "LLM:llama-70b", "LLM:qwen-7b"])
def test_only_a_model_that_may_sleep_may_have_no_replica(name: str) -> None:
    def none(serve: dict[str, Any]) -> None:
        application = serve["applications"][0]
        application["args"]["models"][1]["scaling"] = {"to_zero": True}
        (found,) = (d for d in application["deployments"] if d["name"] == name)
        found["autoscaling_config"]["min_replicas"] = 0

    serve = changed(SERVE, none)
    wanted = [] if name == "LLM:qwen-7b" else [f"{name}: only a model with `scaling.to_zero` may have no replica"]
    assert [fault.partition(": ")[2] for fault in faults(HYBRID, serve)] == wanted


def test_a_wrong_setting_is_refused_with_its_line() -> None:
    serve = SERVE.replace("Retriever: {cpus: 1", "Retriever: {cpus: -1")
    (fault,) = faults(HYBRID, serve)
    assert fault.startswith(f"line {line_with(serve, 'cpus: -1')}: Input should be greater")


def test_another_kind_of_file_is_refused() -> None:
    with pytest.raises(ValueError, match="neither a file of Ray's cluster launcher nor a RayService"):
        node_types({"kind": "Deployment"})


def test_the_command_tells_the_faults(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cluster, serve = str(ROOT / "cluster" / "aws.yaml"), str(ROOT / "cluster" / "gpu.yaml")
    monkeypatch.setattr("sys.argv", ["cluster_check", cluster, serve])
    assert main() == 1
    assert "Retriever asks one node for CPU 1 with {'site': 'onprem'}" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["cluster_check", cluster, str(ROOT / "cluster" / "cloud.yaml")])
    assert main() == 0


def test_a_line_is_that_of_the_nearest_thing_that_exists() -> None:
    text = "a:\n  b:\n    - c: 1\n    - d: 2\n"
    assert [line_of(text, p) for p in (("a",), ("a", "b", 1, "d"), ("a", "b", 1, "x"), ("x",))] == [1, 4, 4, 1]
