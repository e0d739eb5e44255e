"""Whether what ends may finish first: replicas, HAProxy's old processes and pods must outlive the longest request.

That is Serve's own limit for a request, `http_options.request_timeout_s`, which the longest generation keeps to.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from deployments.settings import Settings
from deployments.yaml_lines import Place, line_of

HARD_STOP = "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S"
DRAINING = "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S"
DEFAULTS = {HARD_STOP: 120.0, DRAINING: 30.0}
NOTICED_S = 10.0
"""HAProxy asks a replica every 5 seconds whether it is well, and believes the second refusal."""
GRACE_S = 20.0
"""Serve's default of `graceful_shutdown_timeout_s`."""
SET = re.compile(r"\b(RAY_SERVE_\w+)=([\d.]+)")
DRAINS = re.compile(r"cluster\.spot\b[^\n]*")
GRACE = re.compile(r"--grace[=\s]+([\d.]+)")


@dataclass(frozen=True, slots=True)
class Node:
    """Where a cluster file sets the environment of some nodes, what it sets there, and a pod's time to end."""

    place: Place
    values: Mapping[str, float]
    pod_s: float | None = None

    def value(self, name: str) -> float:
        return self.values.get(name, DEFAULTS[name])


def nodes(cluster: Mapping[str, Any]) -> Iterator[Node]:
    """The places of a cluster file, of either kind, that set what a kind of node runs with."""
    if cluster.get("kind") == "RayService":
        config = cluster["spec"]["rayClusterConfig"]
        yield pod(config["headGroupSpec"], ("spec", "rayClusterConfig", "headGroupSpec"), holds_replicas=False)
        for n, group in enumerate(config["workerGroupSpecs"]):
            yield pod(group, ("spec", "rayClusterConfig", "workerGroupSpecs", n))
        return
    started = " ".join(cluster.get("worker_start_ray_commands", []))
    options = " ".join(cluster.get("docker", {}).get("run_options", []))
    yield Node(("docker", "run_options"), found(f"{options} {started}"))
    for name, pool in cluster["provider"].get("pools", {}).items():
        if "start_command" in pool:
            yield Node(("provider", "pools", name, "start_command"), found(pool["start_command"]))


def pod(group: Mapping[str, Any], place: Sequence[str | int], holds_replicas: bool = True) -> Node:
    """A group of KubeRay's pods; a head without replicas may end at once."""
    spec = group["template"]["spec"]
    given = {entry["name"]: entry.get("value", "") for entry in spec["containers"][0].get("env", [])}
    values = found(" ".join(f"{name}={value}" for name, value in given.items()))
    seconds = float(spec.get("terminationGracePeriodSeconds", 30)) if holds_replicas else None
    return Node((*place, "template", "spec"), values, seconds)


def found(text: str) -> dict[str, float]:
    """Serve's variables that `text` sets to a number."""
    return {name: float(value) for name, value in SET.findall(text)}


def told(text: str, place: Place, message: str) -> str:
    """A fault with its line."""
    return f"line {line_of(text, place)}: {message}"


def serve_faults(text: str, settings: Settings, draining_s: float) -> list[str]:
    """What is too short in the Serve YAML `text`, where an Ingress replica that stops is still found for so long."""
    serve = yaml.safe_load(text)
    place: Place = ("http_options", "request_timeout_s")
    longest = serve.get("http_options", {}).get("request_timeout_s")
    if longest is None:
        return [told(text, place, "http_options: without request_timeout_s a request may take for ever")]
    faults = []
    if longest < settings.http.request_timeout_s:
        own = settings.http.request_timeout_s
        faults.append(told(text, place, f"request_timeout_s: {longest:g} s end answers that may take {own:g} s"))
    answer = f"a request, {longest:g} s"
    for n, deployment in enumerate(serve["applications"][0]["deployments"]):
        name, grace = deployment["name"], deployment.get("graceful_shutdown_timeout_s", GRACE_S)
        needed, why = settings.stage_timeout_s, f"a call of a stage, {settings.stage_timeout_s:g} s"
        if name == "Ingress":
            needed, why = longest + draining_s, f"{answer} and {draining_s:g} s of draining"
        elif name.startswith("LLM:"):
            needed, why = longest, answer
        if grace < needed:
            at = ("applications", 0, "deployments", n, "graceful_shutdown_timeout_s")
            faults.append(told(text, at, f"{name}: graceful_shutdown_timeout_s {grace:g} is shorter than {why}"))
    return faults


def longest_draining_s(cluster: Mapping[str, Any]) -> float:
    """How long an Ingress replica that stops is still found, on the node of a cluster file where that is longest."""
    return max(node.value(DRAINING) for node in nodes(cluster))


def cluster_faults(text: str, serve: Mapping[str, Any]) -> list[str]:
    """What is too short in the cluster file `text` for the application of a Serve YAML."""
    longest = serve.get("http_options", {}).get("request_timeout_s") or 0
    graces = [d.get("graceful_shutdown_timeout_s", GRACE_S) for d in serve["applications"][0]["deployments"]]
    faults = []
    for node in nodes(yaml.safe_load(text)):
        hard, draining = node.value(HARD_STOP), node.value(DRAINING)
        if hard < longest + draining:
            needed = f"a request, {longest:g} s and {draining:g} s of draining"
            faults.append(told(text, node.place, f"{HARD_STOP} {hard:g} is shorter than {needed}"))
        if draining < NOTICED_S:
            faults.append(told(text, node.place, f"{DRAINING} {draining:g}: HAProxy notices after {NOTICED_S:g} s"))
        if node.pod_s is not None and node.pod_s < max(graces):
            at = (*node.place, "terminationGracePeriodSeconds")
            faults.append(told(text, at, f"the pods have {node.pod_s:g} s to end, replicas {max(graces):g} s"))
    return faults + drain_faults(text, max(graces))


def drain_faults(text: str, longest_s: float) -> list[str]:
    """The commands that drain a node and know less than the longest time that a replica has to end."""
    faults = []
    for number, line in enumerate(text.splitlines(), 1):
        command = DRAINS.search(line)
        grace = command and GRACE.search(command[0])
        if command and "#" not in line.partition("cluster.spot")[0] and (not grace or float(grace[1]) < longest_s):
            faults.append(f"line {number}: without --grace={longest_s:g} or more, a drain stops replicas at once")
    return faults
