"""The Kubernetes manifests pass the schemas of what reads them, and close what must be closed."""

from typing import Any

import kubernetes_validate
import pytest
import yaml
from pydantic import ValidationError
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr
from ray.serve.schema import ServeDeploySchema

from cluster.spot.__main__ import command_line
from deployments.cluster_check import faults
from deployments.ending import cluster_faults
from deployments.settings import ROOT, Settings
from tests.cluster.kuberay_fields import RayService

FOLDER = ROOT / "cluster" / "kuberay"
KUBERNETES = "1.34"


def objects(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


RAGLAN = objects("rayservice.yaml")[0]
CLUSTER = RAGLAN["spec"]["rayClusterConfig"]
GROUPS = {"head": CLUSTER["headGroupSpec"], **{group["groupName"]: group for group in CLUSTER["workerGroupSpecs"]}}
MANIFESTS = [name for name in yaml.safe_load((FOLDER / "kustomization.yaml").read_text())["resources"]]
PLAIN = [thing for name in MANIFESTS for thing in objects(name) if thing["kind"] != "RayService"]
PODS = {name: group["template"]["spec"] for name, group in GROUPS.items()} | {
    thing["metadata"]["name"]: thing["spec"]["template"]["spec"] for thing in PLAIN if thing["kind"] == "StatefulSet"
}


def test_the_kustomization_names_every_manifest() -> None:
    assert sorted([*MANIFESTS, "kustomization.yaml"]) == sorted(path.name for path in FOLDER.iterdir())


@pytest.mark.parametrize("thing", PLAIN, ids=lambda thing: f"{thing['kind']}-{thing['metadata']['name']}")
def test_an_object_passes_kubernetes_schema(thing: dict[str, Any]) -> None:
    kubernetes_validate.validate(thing, KUBERNETES, strict=True)


@pytest.mark.parametrize("name", GROUPS)
def test_a_groups_pod_passes_kubernetes_schema(name: str) -> None:
    template = GROUPS[name]["template"]
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, **template["metadata"]}}
    kubernetes_validate.validate({**pod, "spec": template["spec"]}, KUBERNETES, strict=True)


def test_kubernetes_schema_refuses_what_it_does_not_know() -> None:
    with pytest.raises(kubernetes_validate.ValidationError, match="nodeSelectors"):
        kubernetes_validate.validate(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "a"},
                "spec": {"containers": [{"name": "a"}], "nodeSelectors": {}},
            },
            KUBERNETES,
            strict=True,
        )


def test_the_ray_service_has_only_fields_that_kuberay_knows() -> None:
    RayService.model_validate(RAGLAN)
    with pytest.raises(ValidationError, match=r"workerGroupSpecs\.0\.minReplica\b"):
        RayService.model_validate(
            {
                **RAGLAN,
                "spec": {
                    **RAGLAN["spec"],
                    "rayClusterConfig": {**CLUSTER, "workerGroupSpecs": [{**GROUPS["cloud-cpu"], "minReplica": 1}]},
                },
            }
        )


def test_rays_autoscaler_reads_every_group_as_it_is_meant() -> None:
    resource = {"metadata": {"name": "raglan", "namespace": "raglan"}, "spec": CLUSTER}
    types = _derive_autoscaling_config_from_ray_cr(resource)["available_node_types"]
    assert types["headgroup"]["resources"]["CPU"] == 0
    for name, group in GROUPS.items():
        if name == "head":
            continue
        read = types[name]
        assert read["labels"] == group["labels"]
        assert read["priority"] == group["priority"]
        assert read["idle_timeout_s"] == group["idleTimeoutSeconds"]
        assert {key: read["resources"][key] for key in group["resources"]} == {
            key: int(value) for key, value in group["resources"].items()
        }
    gpus = [read["resources"] for read in types.values() if read["resources"].get("GPU")]
    assert all(read == gpus[0] for read in gpus)


def test_there_is_a_group_for_each_site_and_home_comes_first() -> None:
    sites = {name: group["labels"]["site"] for name, group in GROUPS.items() if name != "head"}
    assert set(sites.values()) == {"onprem", "cloud"}
    priorities = {name: GROUPS[name]["priority"] for name in sites}
    assert min(priorities[n] for n, s in sites.items() if s == "onprem") > max(
        priorities[n] for n, s in sites.items() if s == "cloud"
    )
    for name, site in sites.items():
        assert PODS[name]["nodeSelector"]["raglan.io/site"] == site


@pytest.mark.parametrize("name", GROUPS)
def test_a_group_tells_ray_what_its_pod_has(name: str) -> None:
    group = GROUPS[name]
    (container,) = group["template"]["spec"]["containers"]
    limits = container["resources"]["limits"]
    assert container["resources"]["requests"] == limits
    if name != "head":
        assert group["resources"]["CPU"] == limits["cpu"]
        assert group["resources"].get("GPU") == limits.get("nvidia.com/gpu")


def test_the_cluster_can_hold_its_application() -> None:
    serve = RAGLAN["spec"]["serveConfigV2"]
    config = yaml.safe_load(serve)
    ServeDeploySchema.model_validate(config)
    Settings.load(config["applications"][0]["args"])
    manifest = (FOLDER / "rayservice.yaml").read_text()
    assert faults(manifest, serve) == []
    assert cluster_faults(manifest, config) == []


def test_the_head_can_die_and_every_process_needs_the_token() -> None:
    assert CLUSTER["autoscalerOptions"]["version"] == "v2"
    assert CLUSTER["authOptions"] == {"mode": "token", "secretName": "raglan-ray-token"}
    redis = CLUSTER["gcsFaultToleranceOptions"]
    host, port = redis["redisAddress"].split(":")
    service = next(t for t in PLAIN if t["kind"] == "Service" and t["metadata"]["name"] == host)
    assert int(port) in [p["port"] for p in service["spec"]["ports"]]
    assert redis["redisPassword"]["valueFrom"]["secretKeyRef"]["name"] == "raglan-redis"


@pytest.mark.parametrize("name", PODS)
def test_a_pod_has_no_more_rights_than_it_needs(name: str) -> None:
    spec = PODS[name]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert name == "head" or spec["automountServiceAccountToken"] is False
    for container in spec["containers"]:
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def test_secrets_come_by_reference_only() -> None:
    assert not [thing for thing in PLAIN if thing["kind"] == "Secret"]
    for spec in PODS.values():
        for entry in (entry for container in spec["containers"] for entry in container.get("env", [])):
            if any(word in entry["name"] for word in ("KEY", "PASSWORD", "TOKEN", "SECRET")):
                assert set(entry) == {"name", "valueFrom"}
                assert set(entry["valueFrom"]) == {"secretKeyRef"}


def reached(policy: dict[str, Any], port: int) -> list[str]:
    """Who may connect to `port` by a policy's ingress rules: app labels and namespaces."""
    found = []
    for rule in policy["spec"].get("ingress", []):
        if "ports" in rule and port not in [p["port"] for p in rule["ports"]]:
            continue
        for peer in rule["from"]:
            (labels,) = (selector["matchLabels"] for selector in peer.values())
            found += labels.values()
    return found


def test_nobody_reaches_what_only_the_cluster_and_its_operator_may() -> None:
    policies = {t["metadata"]["name"]: t for t in PLAIN if t["kind"] == "NetworkPolicy"}
    closed = policies["nothing-else"]["spec"]
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for port in (6379, 8404, 9101, 10001):
        assert reached(policies["raglan"], port) == ["raglan"]
    assert reached(policies["raglan"], 8265) == ["raglan", "kuberay-system"]
    assert reached(policies["raglan"], 8000) == ["raglan", "ingress-nginx", "kuberay-system"]
    assert reached(policies["redis"], 6379) == ["raglan"]
    assert reached(policies["qdrant"], 6333) == ["raglan"]
    assert reached(policies["qdrant"], 6335) == ["qdrant"]
    (outside,) = (e for e in policies["raglan"]["spec"]["egress"] if "ipBlock" in e["to"][0])
    assert outside["to"][0]["ipBlock"]["except"] == ["169.254.0.0/16"]


def test_a_drain_leaves_workers_and_moves_their_replicas() -> None:
    budgets = {t["metadata"]["name"]: t["spec"] for t in PLAIN if t["kind"] == "PodDisruptionBudget"}
    wanted = budgets["raglan-workers"]["selector"]["matchLabels"].items()
    workers = [name for name, group in GROUPS.items() if wanted <= group["template"]["metadata"]["labels"].items()]
    assert workers == [name for name in GROUPS if name != "head"]
    kept = budgets["raglan-workers"]["minAvailable"]  # KubeRay issue 2662: `maxUnavailable` of a RayCluster blocks
    assert 0 < kept < sum(GROUPS[name]["minReplicas"] for name in workers)
    assert "maxUnavailable" not in budgets["raglan-workers"]
    assert budgets["qdrant"]["maxUnavailable"] == 1
    longest = max(
        d.get("graceful_shutdown_timeout_s", 0)
        for d in yaml.safe_load(RAGLAN["spec"]["serveConfigV2"])["applications"][0]["deployments"]
    )
    for name in workers:
        command = PODS[name]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert command[:4] == ["python", "-m", "cluster.spot", "drain"]
        given = vars(command_line().parse_args(command[3:]))
        assert given["grace"] >= longest
        assert given["seconds"] < PODS[name]["terminationGracePeriodSeconds"]
        assert (given["seconds"] > longest) != name.endswith("spot")
        assert PODS[name]["terminationGracePeriodSeconds"] > longest
    assert RAGLAN["spec"]["rayClusterDeletionDelaySeconds"] > longest


def test_the_documents_stay_at_home() -> None:
    for name in ("qdrant", "redis", "head"):
        assert PODS[name]["nodeSelector"]["raglan.io/site"] == "onprem"
