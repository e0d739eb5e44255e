"""The cluster that a chaos run is done to: a head without replicas and two workers, as machines on one kernel."""

import asyncio
import json
import random
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from benchmarks import nodes
from benchmarks.chaos_profile import DRAINING_S
from benchmarks.serving_servers import environment

HEAD = "10.9.0.1"
WORKERS = ("10.9.0.2", "10.9.0.3")
CPUS = 4
"""Logical ones of a worker: either holds the whole application."""
RECONNECT_S = 120
"""How long a worker goes on without a head."""
PATIENCE_S, DEPLOYED_S = 10, 60
START_S = 60
STARTED = "Ray runtime started"


@dataclass
class Cluster:
    """What runs, and how it is asked and changed. `chance` chooses which replica is meant where there are two."""

    head: nodes.Machine
    workers: dict[str, nodes.Machine]
    token: str
    chance: random.Random = field(default_factory=random.Random)

    async def call(self, method: str, path: str, body: Any = None, patience_s: float = PATIENCE_S) -> Any:
        """Ask Ray's dashboard. Raises OSError where it does not answer."""
        request = urllib.request.Request(
            f"http://{HEAD}:8265{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )

        def send() -> Any:
            with urllib.request.urlopen(request, timeout=patience_s) as response:  # noqa: S310
                return json.loads(response.read() or b"null")

        return await asyncio.to_thread(send)

    async def deploy(self, config: dict[str, Any]) -> None:
        """Tell Serve what is wanted, as `serve deploy` does."""
        await self.call("PUT", "/api/serve/applications/", config, DEPLOYED_S)

    async def missing(self) -> list[str]:
        """What is not as it was deployed: deployments that are short of replicas or not healthy.

        Processes are counted too: Serve's controller learns of a death only when it asks the next time.
        """
        try:
            told = await self.call("GET", "/api/serve/applications/")
        except OSError as error:
            return [f"Serve's status: {error}"]
        application = told["applications"].get("raglan", {"status": "unknown", "deployments": {}})
        told_of = application["deployments"].items()
        short = [name for name, found in told_of if not complete(found, len(self.replicas(name)))]
        return short or ([] if application["status"] == "RUNNING" else [application["status"]])

    def replicas(self, deployment: str) -> list[psutil.Process]:
        """The processes of a deployment's replicas."""
        title = f"ServeReplica:raglan:{deployment}"
        return [p for machine in self.workers.values() if machine.on for p in machine.processes(title)]

    def processes(self) -> list[psutil.Process]:
        return [p for machine in (self.head, *self.workers.values()) if machine.on for p in machine.processes()]


def complete(deployment: dict[str, Any], processes: int) -> bool:
    """Whether all replicas run, and no more."""
    wanted = deployment["target_num_replicas"]
    states = [replica["state"] for replica in deployment["replicas"]]
    return deployment["status"] == "HEALTHY" and states == ["RUNNING"] * wanted and processes == wanted


def until_started(machine: nodes.Machine) -> None:
    """Wait until Ray runs on it: two nodes that start at once get into each other's way. Raises RuntimeError."""
    deadline = time.monotonic() + START_S
    while STARTED not in machine.log():
        if not machine.on or time.monotonic() > deadline:
            raise RuntimeError(f"{machine.address} did not start: {machine.log()[-2000:]}")
        time.sleep(0.1)


@contextmanager
def cluster(folder: Path, seed: int) -> Iterator[Cluster]:
    """A cluster that is on, and off again afterwards. Raises RuntimeError outside of an isolated network."""
    if set(psutil.net_if_addrs()) != {"lo"}:
        raise RuntimeError("a chaos run wants a network of its own: start it by tests/isolate.sh")
    token = "t" * 64
    (folder / "token").write_text(token)
    shared = {
        **environment(),
        "RAY_AUTH_TOKEN_PATH": str(folder / "token"),
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": str(DRAINING_S),
        "RAY_gcs_storage": "rocksdb",
        "RAY_gcs_storage_path": str(folder / "gcs"),
        "RAY_gcs_rpc_server_reconnect_timeout_s": str(RECONNECT_S),
    }
    dashboard = ("--include-dashboard=true", f"--dashboard-host={HEAD}")
    head = nodes.head(HEAD, folder / "h", folder / "gcs", *dashboard, **shared)
    workers = {}
    for n, address in enumerate(WORKERS):
        own = folder / f"w{n}"
        workers[address] = nodes.worker(address, own, HEAD, f"--num-cpus={CPUS}", f"--temp-dir={own}/ray", **shared)
    with nodes.bridge():
        try:
            for machine in (head, *workers.values()):
                machine.start()
                until_started(machine)
            yield Cluster(head, workers, token, random.Random(seed))
        finally:
            for machine in (*workers.values(), head):
                machine.end()
