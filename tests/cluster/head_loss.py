"""A head is lost while its worker answers, and comes back: what `test_head_loss.py` runs in a network of its own.

Prints one JSON object: how many requests were answered in each part of it, which failed, and by which replicas.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

from tests.cluster import nodes
from tests.cluster.traffic import Traffic, ask

HEAD, WORKER = "10.9.0.1", "10.9.0.2"
APART_S = 5.0
"""How long the worker goes on without a head: longer than Ray takes to notice."""
PATIENCE_S = 40


def on(machine: nodes.Machine, work: str) -> str:
    """Do one thing of tests/cluster/talk.py in a driver on `machine`."""
    return machine.run(sys.executable, "-c", f"from tests.cluster import talk; talk.{work}", timeout=90)


def settled(machine: nodes.Machine) -> dict[str, Any]:
    """What Serve's controller tells when every application runs, or at last."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        told: dict[str, Any] = json.loads(on(machine, "show()").splitlines()[-1])
        if set(told["applications"].values()) == {"RUNNING"} or time.monotonic() > deadline:
            return told


def play(head: nodes.Machine, worker: nodes.Machine) -> dict[str, Any]:
    """Deploy, lose the head, get it back, deploy again."""
    head.start()
    worker.start()
    on(head, "deploy('talk', 2)")
    paths = ("/talk", "/talk?lines=20&pause=0.05")
    with Traffic(paths, lambda: WORKER) as traffic:
        time.sleep(2)
        lost = time.monotonic()
        head.end()
        time.sleep(APART_S)
        back = time.monotonic()
        head.start()
        told = settled(head)
        on(head, "deploy('late', 1)")
        late = ask(WORKER, "/late")
    before = {answer.teller for answer in traffic.answers if answer.ended < lost}
    return {
        "before": sorted(before),
        "after": sorted({answer.teller for answer in traffic.since(back)}),
        "answered": {
            "before": sum(not a.fault for a in traffic.answers if a.ended < lost),
            "apart": sum(not a.fault for a in traffic.answers if lost <= a.began < back),
            "after": sum(not a.fault for a in traffic.since(back)),
        },
        "faults": [(round(a.began - lost, 2), a.fault) for a in traffic.faults()],
        "told": told,
        "late": [late.teller, late.fault],
        "recovered_s": round(time.monotonic() - back, 1),
    }


def main(folder: Path, kept: bool) -> int:
    head = nodes.head(HEAD, folder / "h", folder / "gcs" if kept else None)
    worker = nodes.worker(WORKER, folder / "w", HEAD, "--num-cpus=4", RAY_gcs_rpc_server_reconnect_timeout_s="120")
    with nodes.bridge():
        try:
            print(json.dumps(play(head, worker)))
        except BaseException:
            sys.stderr.write(head.log()[-3000:] + worker.log()[-3000:])
            raise
        finally:
            head.end()
            worker.end()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2] == "kept"))
