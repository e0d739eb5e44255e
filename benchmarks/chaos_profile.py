"""The application that a chaos run is done to: cluster/local.yaml with two replicas of all that may have two."""

import copy
import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import yaml

from benchmarks.chaos_engine import PATH
from deployments.settings import ROOT

Engine = Literal["fake", "vllm"]
READER, WRITER = "chaos-reader", "chaos-writer"
"""The API keys: one asks the handbook, the other keeps documents of a tenant of its own."""
SINGLE = "Retriever"
"""Holds the embedded store, so there is one."""
REPLICAS = 2
"""Of everything else."""
PORT = 8000
PATIENCE_S, CHANGED_S = 90, 91
"""`stage_timeout_s`, and what a rolling update changes it to, which restarts every replica. It is three times the
default: two cores start a dozen replicas in the time in which a cluster starts them all.
"""
DRAINING_S = 10
"""How long an Ingress replica that stops goes on answering, until every HAProxy knows; Serve's default is 30."""


def profile(folder: Path, engine: Engine, single: Collection[str] = ()) -> dict[str, Any]:
    """A Serve configuration whose state stands in `folder`; every machine serves HTTP. Of `single` there is one."""
    config: dict[str, Any] = yaml.safe_load((ROOT / "cluster" / "local.yaml").read_text())
    config["proxy_location"] = "EveryNode"
    config["http_options"] |= {"host": "0.0.0.0", "port": PORT}  # noqa: S104  of a network that has no way out
    (application,) = config["applications"]
    args = application["args"]
    args["store"]["path"] = str(folder / "index")
    args["feedback_path"] = str(folder / "feedback.jsonl")
    args["reviews_path"] = str(folder / "reviews.jsonl")
    args["stage_timeout_s"] = PATIENCE_S
    args["http"] = {"api_keys": [key(READER, "default"), key(WRITER, "notes")]}
    if engine == "fake":
        args["models"][0]["env"]["RAYLLM_VLLM_ENGINE_CLS"] = PATH
    end_s = config["http_options"]["request_timeout_s"] + DRAINING_S
    for deployment in application["deployments"]:
        deployment["graceful_shutdown_timeout_s"] = end_s
        if deployment["name"] not in (SINGLE, *single):
            deployment["autoscaling_config"] |= {"min_replicas": REPLICAS, "max_replicas": REPLICAS}
            deployment["max_surge_percent"] = 100
    return config


def changed(config: dict[str, Any]) -> dict[str, Any]:
    """The same application with another setting."""
    other = copy.deepcopy(config)
    other["applications"][0]["args"]["stage_timeout_s"] = CHANGED_S
    return other


def key(secret: str, tenant: str) -> dict[str, Any]:
    """An API key's entry; its secret is its name."""
    return {"name": secret, "sha256": hashlib.sha256(secret.encode()).hexdigest(), "tenant": tenant}
