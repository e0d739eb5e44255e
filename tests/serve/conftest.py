"""One real application for the whole folder: every deployment, two engines (one sharded), tracing to our receiver."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest
import yaml

from benchmarks.serving import INDEX, index
from tests.deployments.otlp_receiver import OtlpReceiver

ROOT = Path(__file__).parents[2]
START_TIMEOUT_S = 540
TIGHT = {"max_ongoing_requests": 2, "max_queued_requests": 2}
"""What the second model bears, so that a test can overload it."""


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port


def environment(folder: Path) -> dict[str, str]:
    """Of every process of one test cluster: nothing is shared with another on the machine."""
    lines = (ROOT / "cluster" / "local.env").read_text().splitlines()
    local = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
    token = folder / "token"
    token.write_text("t" * 64)
    proxy = folder / "proxy"
    return {
        **os.environ,
        **local,
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": str(folder),
        "RAY_metrics_report_interval_ms": "1000",
        "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(proxy / "haproxy.cfg"),
        "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(proxy / "metrics.sock"),
        "RAY_SERVE_HAPROXY_SOCKET_PATH": str(proxy / "admin.sock"),
        "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(proxy),
        "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(proxy / "server-state"),
        "RAY_SERVE_HAPROXY_STATS_PORT": str(free_port()),
        "RAY_SERVE_HAPROXY_METRICS_PORT": str(free_port()),
    }


@dataclass
class Running:
    """The application under test."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    receiver: OtlpReceiver
    config: Path

    @cached_property
    def openai(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.url}/v1", api_key="none", max_retries=0, timeout=60)

    @cached_property
    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=60)

    @property
    def folder(self) -> Path:
        return self.config.parent

    def metric(self, name: str) -> float:
        """The sum of a Ray metric over its labels, as the node's agent exports it."""
        (port,) = {path.read_text() for path in self.folder.glob("ray/session_*_*/metrics_export_port_*")}
        lines = httpx.get(f"http://127.0.0.1:{port}/metrics").text.splitlines()
        values = [float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith((f"{name}{{", f"{name} "))]
        return sum(values)

    def replicas(self, deployment: str) -> list[psutil.Process]:
        """The replica processes of a deployment."""
        title = re.compile(rf"ServeReplica:raglan:{deployment}(?![\w-])")
        children = psutil.Process(self.process.pid).children(recursive=True)
        return [p for p in children if title.search("".join(p.cmdline()))]


def sharded(quote: dict[str, Any]) -> dict[str, Any]:
    """The same model over two tensor-parallel shards, a core each."""
    engine = {**quote["engine"], "tensor_parallel_size": 2}
    env = {**quote["env"], "VLLM_CPU_OMP_THREADS_BIND": "0|1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    return {**quote, "id": "quote-tp2", "engine": engine, "env": env, "bundle": {"CPU": 0.2}, "replica_cpus": 0.1}


def configure(folder: Path, receiver: OtlpReceiver) -> Path:
    """cluster/local.yaml with its state in `folder`, a second model and tracing."""
    config = yaml.safe_load((ROOT / "cluster" / "local.yaml").read_text())
    (application,) = config["applications"]
    args = application["args"]
    args["models"].append(sharded(args["models"][0]))
    args["store"]["path"] = str(folder / "index")
    args["feedback_path"] = str(folder / "feedback.jsonl")
    args["reviews_path"] = str(folder / "reviews.jsonl")
    args["tracing"] = receiver.config
    args["http"]["request_timeout_s"] = 170
    args["resume_wait_s"] = 150
    engine = next(d for d in application["deployments"] if d["name"] == "LLM:quote")
    application["deployments"].append({**engine, "name": "LLM:quote-tp2", **TIGHT})
    path = folder / "serve.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


@pytest.fixture(scope="session")
def raglan() -> Iterator[Running]:
    with tempfile.TemporaryDirectory(
        prefix="rg", ignore_cleanup_errors=True
    ) as short:  # Unix sockets' paths are bounded
        yield from start(Path(short))


def start(folder: Path) -> Iterator[Running]:
    """Index the handbook, run the application until it is ready, and stop it at the end."""
    env = environment(folder)
    with OtlpReceiver() as receiver:
        config = configure(folder, receiver)
        index()
        shutil.copytree(INDEX, folder / "index")
        port = free_port()
        log = folder / "log"
        with log.open("wb") as out:
            command = [sys.executable, "-m", "deployments.run", "run", str(config), "--port", str(port)]
            process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while "Raglan is ready" not in log.read_text():
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.5)
            running = Running(f"http://127.0.0.1:{port}", process, log, receiver, config)
            with running.http, running.openai:
                yield running
        finally:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                raise


def sse(text: str) -> list[dict[str, Any]]:
    """The events of a finished stream, without the last [DONE]."""
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    return [json.loads(line) for line in lines[:-1]]
