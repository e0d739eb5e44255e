"""The servers that the serving benchmark compares: what each is, its configuration, and how a case is asked of it.

All of them run the engine of the profile's first model. Only what stands in front of it differs.
"""

import copy
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from benchmarks.serving_process import Command, free_port
from benchmarks.serving_prompts import PLAIN, Case
from guardrails.policy import merged

ROOT = Path(__file__).resolve().parent.parent
TUNING = ("RAY_SERVE_ENABLE_HA_PROXY", "RAY_SERVE_THROUGHPUT_OPTIMIZED", "RAY_worker_niceness")
UNGUARDED = ("input", "passages", "output")
LANGFUSE = ("LANGFUSE_BASE_URL", "LANGFUSE_PUBLIC_KEY", "LANGFUSE_SECRET_KEY")
BASELINE = "vllm-same"
TUNED = "serve-llm-tuned"


@dataclass(frozen=True, slots=True)
class Bench:
    """What all servers share: the profile (a Serve YAML), the index, a folder for their files, the answer's length.

    `engine` are engine arguments on top of the profile's, for every server.
    """

    root: Path
    profile: dict[str, Any]
    environment: dict[str, str]
    folder: Path
    index: Path
    max_tokens: int
    engine: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> dict[str, Any]:
        """The profile's first model."""
        model: dict[str, Any] = self.profile["applications"][0]["args"]["models"][0]
        return model

    def arguments(self, keep_interval: bool = True) -> dict[str, Any]:
        """VLLM's engine arguments; without the profile's `stream_interval` where that is not wanted."""
        given = {**self.model["engine"], "max_model_len": self.model["context"], "enable_per_request_metrics": True}
        if not keep_interval:
            given.pop("stream_interval", None)
        return {**given, **self.engine}

    def request(self, messages: list[dict[str, str]], **more: Any) -> dict[str, Any]:
        """A streamed, greedy chat request."""
        return {
            "model": self.model["id"],
            "messages": messages,
            "max_tokens": self.max_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
            **more,
        }


@dataclass(frozen=True, slots=True)
class Server:
    """One contestant. `command` writes what it needs and says how to start it; `body` asks it a case."""

    title: str
    command: Callable[[Bench], Command]
    body: Callable[[Bench, Case], dict[str, Any]]


def environment() -> dict[str, str]:
    """cluster/local.env, as of every process of the local profile."""
    lines = (ROOT / "cluster" / "local.env").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def plain(bench: Bench, case: Case) -> dict[str, Any]:
    return bench.request(case.plain())


def without_retrieval(bench: Bench, case: Case) -> dict[str, Any]:
    return bench.request(case.bare_turn(), raglan={"retrieve": False})


def whole(bench: Bench, case: Case) -> dict[str, Any]:
    return bench.request(case.asked())


def vllm(bench: Bench, keep_interval: bool) -> Command:
    """VLLM's own OpenAI server, without its access log."""
    port = free_port()
    argv = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", str(port)]
    argv += ["--model", str(bench.root / bench.model["source"]), "--served-model-name", bench.model["id"]]
    argv += ["--uvicorn-log-level", "warning", *flags(bench.arguments(keep_interval))]
    return Command(argv, port, "/health", bench.folder / "log", {**bench.environment, **bench.model["env"]})


def flags(arguments: dict[str, Any]) -> list[str]:
    """Engine arguments as vLLM's command line takes them."""
    words = []
    for name, value in arguments.items():
        option = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{option}" if value else f"--no-{option}")
        else:
            words += [f"--{option}", json.dumps(value) if isinstance(value, dict | list) else str(value)]
    return words


def serve_llm(bench: Bench, tuned: bool) -> Command:
    """ray.serve.llm's own application; tuned as Raglan is, or as it comes."""
    model = bench.model
    llm: dict[str, Any] = {
        "model_loading_config": {"model_id": model["id"], "model_source": str(bench.root / model["source"])},
        "accelerator_config": {"kind": model["accelerator"]},
        "placement_group_config": {"bundle_per_worker": model["bundle"], "strategy": "STRICT_PACK"},
        "engine_kwargs": bench.arguments(keep_interval=tuned),
        "deployment_config": {"ray_actor_options": {"num_cpus": 0.1}},
        "runtime_env": {"env_vars": model["env"]},
    }
    if tuned:
        llm["experimental_configs"] = {"stream_batching_interval_ms": 0}
    (given,) = bench.profile["applications"]
    config = {
        "proxy_location": bench.profile["proxy_location"],
        "http_options": {"host": "127.0.0.1", "port": free_port()},
        "applications": [
            {
                "name": "serve-llm",
                "route_prefix": "/",
                "import_path": "ray.serve.llm:build_openai_app",
                "runtime_env": given["runtime_env"],
                "args": {"llm_configs": [llm], "ingress_deployment_config": {"ray_actor_options": {"num_cpus": 0.1}}},
            }
        ],
    }
    if tuned:
        config["logging_config"] = bench.profile["logging_config"]
    argv = [sys.executable, "-m", "ray.serve.scripts", "run", "--address", "local", str(written(bench, config))]
    return on_ray(bench, argv, config["http_options"]["port"], "/v1/models", tuned)


def raglan(bench: Bench, rails: bool = True, retrieval: bool = True) -> Command:
    """Raglan by its launcher; it answers however late, as the others do, unless the profile says otherwise."""
    config = copy.deepcopy(bench.profile)
    args = config["applications"][0]["args"]
    args["models"] = [{**bench.model, "engine": {**bench.model["engine"], **bench.engine}}]
    args["store"] = {"kind": "edge", "path": str(bench.index)}
    args.setdefault("admission", {"enabled": False})
    args["feedback_path"] = str(bench.folder / "feedback.jsonl")
    args["reviews_path"] = str(bench.folder / "reviews.jsonl")
    if not retrieval:
        args["models"][0]["prompt"] = PLAIN
    if not rails:
        args["policy"] = merged(args.get("policy", {}), {s: {"enabled": False} for s in UNGUARDED})
    port = free_port()
    argv = [sys.executable, "-m", "deployments.run", "run", str(written(bench, config)), "--port", str(port)]
    return on_ray(bench, argv, port, "/readyz", tuned=True)


def written(bench: Bench, config: dict[str, Any]) -> Path:
    path = bench.folder / "serve.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def on_ray(bench: Bench, argv: list[str], port: int, ready: str, tuned: bool) -> Command:
    """A Ray of its own: its token, and its proxy's files and ports, are shared with no other on the machine."""
    token = bench.folder / "token"
    token.write_text("t" * 64)
    proxy = bench.folder / "p"
    own = {
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(proxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(proxy / "admin.sock"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(proxy / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(proxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(proxy / "server-state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
    }
    env = {name: value for name, value in {**bench.environment, **own}.items() if tuned or name not in TUNING}
    unset = (*LANGFUSE, "RAY_ADDRESS", *(() if tuned else TUNING))
    return Command(argv, port, ready, bench.folder / "log", env, unset)


SERVERS = {
    "vllm": Server("vLLM's server, as it comes", lambda b: vllm(b, keep_interval=False), plain),
    BASELINE: Server("vLLM's server, Raglan's engine settings", lambda b: vllm(b, keep_interval=True), plain),
    "serve-llm": Server("ray.serve.llm, as it comes", lambda b: serve_llm(b, tuned=False), plain),
    TUNED: Server("ray.serve.llm, tuned as Raglan is", lambda b: serve_llm(b, tuned=True), plain),
    "raglan-bare": Server("Raglan, rails and retrieval off", lambda b: raglan(b, False, False), without_retrieval),
    "raglan": Server("Raglan, everything on", raglan, whole),
}
