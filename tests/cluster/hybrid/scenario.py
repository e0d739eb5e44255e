"""Real Ray nodes under the real autoscaler v2: what `test_real_ray.py` runs in a process and a network of its own.

Prints one JSON object: when each actor ran and on which node type, when each node type was gone again, the status file.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import ray
import yaml

from cluster.hybrid.starter import ProcessStarter
from tests.cluster.hybrid.harness import cluster_file

IDLE_S = {"cloud-gpu": 6, "local-gpu": 14}
PATIENCE_S = 60
START = (
    'ray start --address="$RAY_ADDRESS" --block --object-store-memory=80000000 --min-worker-port=0 --max-worker-port=0 '
    "--dashboard-agent-listen-port=0 --disable-usage-stats"
)


def configuration(folder: Path) -> dict[str, Any]:
    """A rack that refuses SSH, one owned local node behind it, two nodes of a cloud of pretence."""
    local = {"kind": "local", "start_command": START}
    provider = {
        "type": "external",
        "module": "cluster.hybrid.provider.HybridNodeProvider",
        "disable_node_updaters": True,
        "state_dir": str(folder / "state"),
        "pools": {
            "rack": {
                "kind": "onprem",
                "priority": 5,
                "hosts": ["127.0.0.1"],
                "ssh": {"port": 1},
                "node_types": {"rack-gpu": {}},
            },
            "local": {**local, "hosts": ["one"], "node_types": {"local-gpu": {}}},
            "cloud": {**local, "owned": False, "hosts": ["a", "b"], "node_types": {"cloud-gpu": {"price_per_hour": 2}}},
        },
    }
    types = {kind: {"idle_timeout_s": seconds, "max_workers": 3} for kind, seconds in IDLE_S.items()}
    return cluster_file(provider, rack_gpu={"max_workers": 3}, **{k.replace("-", "_"): v for k, v in types.items()})


@contextmanager
def head(folder: Path, port: int) -> Iterator[psutil.Process]:
    """A head with its autoscaler; in the end it and every node it started are ended by their pids."""
    file = folder / "hybrid.yaml"
    file.write_text(yaml.safe_dump(configuration(folder)))
    flags = (
        f"--head --block --port={port} --node-ip-address=127.0.0.1 --num-cpus=0 --num-gpus=0 --include-dashboard=false"
    )
    command = ["ray", "start", *flags.split(), "--object-store-memory=80000000", f"--autoscaling-config={file}"]
    with (folder / "head.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=dict(os.environ), start_new_session=True)
    try:
        yield psutil.Process(process.pid)
    finally:
        for pool in ("local", "cloud"):
            starter = ProcessStarter(folder / "state" / pool)
            for entry in (folder / "state" / pool).glob("*.json"):
                starter.stop("", entry.stem.replace("_", "/"))
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


@contextmanager
def another_monitor(top: psutil.Process, folder: Path) -> Iterator[None]:
    """End the autoscaler's monitor and start it anew, as a supervisor would: Ray itself does not."""
    (old,) = (p for p in top.children(recursive=True) if any("v2/monitor.py" in part for part in p.cmdline()))
    command, variables = old.cmdline(), old.environ()
    old.terminate()
    while old.is_running() and old.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.05)
    begin = time.time()
    log = (folder / "monitor.log").open("wb")
    with log, subprocess.Popen(command, stdout=log, stderr=log, env=variables) as new:
        try:
            while status(folder)["time"] < begin + 1:
                time.sleep(0.1)
            yield
        finally:
            new.kill()


def connect(address: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            ray.init(address=address, log_to_driver=False, logging_level="ERROR")
            return
        except (ConnectionError, ValueError, RuntimeError):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


@ray.remote(num_gpus=1)
class Holder:
    """Holds a GPU and says where."""

    def where(self) -> str:
        return os.environ["RAY_NODE_TYPE_NAME"]


def status(folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads((folder / "state" / "status.json").read_text())
    return told


def workers(folder: Path) -> dict[str, int]:
    """The pools' nodes, as the status file tells them."""
    return {kind: number for pool in status(folder)["pools"].values() for kind, number in pool["nodes"].items()}


def play(folder: Path, top: psutil.Process) -> dict[str, Any]:
    """Three actors come, one by one; the autoscaler is restarted; then all actors leave."""
    actors, placed = [], []
    seen = list[dict[str, Any]]()
    for _ in range(3):
        begin = time.monotonic()
        actors.append(Holder.remote())
        where = ray.get(actors[-1].where.remote(), timeout=PATIENCE_S)
        placed.append((where, round(time.monotonic() - begin, 1)))
        seen.append(status(folder))
    with another_monitor(top, folder):
        adopted = workers(folder)
        for actor in actors:
            ray.get(actor.where.remote(), timeout=PATIENCE_S)
            ray.kill(actor)
        actors.clear()
        gone = leave(folder)
    return {"placed": placed, "adopted": adopted, "gone": gone, "refused": seen[0], "left": processes(folder)}


def processes(folder: Path) -> list[str]:
    """The nodes that local pools have started and not ended."""
    return [file.stem for file in folder.glob("state/*/*.json")]


def leave(folder: Path) -> dict[str, float]:
    """How many seconds each node type took to be gone."""
    gone: dict[str, float] = {}
    begin = time.monotonic()
    while len(gone) < len(IDLE_S) and time.monotonic() - begin < PATIENCE_S:
        here = workers(folder)
        for kind in IDLE_S:
            if not here[kind] and kind not in gone:
                gone[kind] = round(time.monotonic() - begin, 1)
        time.sleep(0.2)
    return gone


def main(folder: Path) -> int:
    try:
        with head(folder, 6399) as top:
            connect("127.0.0.1:6399")
            print(json.dumps(play(folder, top)))
            ray.shutdown()
    except BaseException:
        logs = [*folder.glob("*.log"), *folder.glob("state/*/*.log"), *folder.glob("ray/session_2*/logs/monitor.*")]
        for log in logs:
            print(f"--- {log}\n{log.read_text(errors='replace')[-3000:]}", file=sys.stderr)
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
