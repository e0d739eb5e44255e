"""A head is lost while its worker answers, and comes back: what `test_head_loss.py` runs in a network of its own.

Prints one JSON object: how many requests were answered in each part of it, which failed, and by which replicas.
"""

import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import nodes
from tests.cluster.driver import on, settled
from tests.cluster.traffic import Traffic, ask

HEAD, WORKER = "10.9.0.1", "10.9.0.2"
APART_S = 5.0
"""How long the worker goes on without a head: longer than Ray takes to notice."""


def play(head: nodes.Machine, worker: nodes.Machine) -> dict[str, Any]:
    """Deploy; lose the head's machine, get it back, deploy again; kill a process of the head."""
    head.start()
    worker.start()
    on(head, "deploy('talk', 2)")
    moments = {}
    paths = ("/talk", "/talk?lines=20&pause=0.05")
    with Traffic(paths, lambda: WORKER) as traffic:
        time.sleep(2)
        moments["lost"] = time.monotonic()
        head.end()
        time.sleep(APART_S)
        moments["back"] = time.monotonic()
        head.start()
        told = [settled(head)]
        on(head, "deploy('late', 1)")
        late = ask(WORKER, "/late")
        moments["killed"] = time.monotonic()
        (tables,) = head.processes("/gcs/gcs_server")
        tables.kill()
        tables.wait()
        told.append(settled(head))
        moments["settled"] = time.monotonic()
        time.sleep(2)
    return {
        "parts": parts(traffic, moments),
        "faults": [(round(a.began - moments["lost"], 2), a.fault) for a in traffic.faults()],
        "told": told,
        "late": [late.teller, late.fault],
    }


def parts(traffic: Traffic, moments: Mapping[str, float]) -> dict[str, list[Any]]:
    """From each moment on: how many requests that began then were answered, and by whom; the first began before any."""
    edges = [0.0, *moments.values(), float("inf")]
    found = {}
    for name, begin, end in zip(("first", *moments), edges, edges[1:], strict=False):
        whole = [a for a in traffic.answers if begin <= a.began < end and not a.fault]
        found[name] = [len(whole), sorted({answer.teller for answer in whole})]
    return found


def main(folder: Path, kept: bool) -> int:
    head = nodes.head(HEAD, folder / "h", folder / "gcs" if kept else None)
    worker = nodes.worker(WORKER, folder / "w", HEAD, "--num-cpus=4", RAY_gcs_rpc_server_reconnect_timeout_s="120")
    with nodes.bridge(), nodes.on(head, worker):
        print(json.dumps(play(head, worker)))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2] == "kept"))
