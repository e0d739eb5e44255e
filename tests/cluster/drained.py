"""The cloud takes back a machine that serves: what `test_drained.py` runs in a network of its own.

Prints one JSON object: what the requests met, where they were answered, and what Serve tells in the end.
"""

import json
import re
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks import nodes
from cluster.spot.fake import FakeMetadata
from tests.cluster.driver import on, settled
from tests.cluster.traffic import Traffic, healthy

HEAD, SPOT, OTHER = "10.9.0.1", "10.9.0.2", "10.9.0.3"
NOTICE_S = 60.0
GRACE_S = 20
EMPTY_S = 40
QUICK = {"RAY_SERVE_PROXY_MIN_DRAINING_PERIOD_S": "3", "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "2"}


def balanced() -> str:
    """Where a load balancer sends a request: to the spot machine as long as that says it is well."""
    return SPOT if healthy(SPOT) else HEAD


def play(head: nodes.Machine, spot: nodes.Machine, other: nodes.Machine) -> dict[str, Any]:
    """Deploy on the spot machine, let another join, announce the end, and wait until the spot machine is empty."""
    head.start()
    spot.start()
    on(head, f"deploy('talk', 2, {GRACE_S})")
    other.start()
    with FakeMetadata("aws", (nodes.OUTSIDE, 0)) as cloud:
        command = (sys.executable, "-m", "cluster.spot", "watch", "--every", "0.5", "--endpoint", cloud.url)
        agent = spot.begin(*command, f"--grace={GRACE_S}")
        paths = ("/talk", "/talk?lines=30&pause=0.1")
        with Traffic(paths, balanced) as clients, Traffic(paths, lambda: HEAD) as others:
            time.sleep(6)
            announced = time.monotonic()
            cloud.taken_at = time.time() + NOTICE_S
            said, _ = agent.communicate(timeout=NOTICE_S)
            empty = emptied(spot)
            left = time.monotonic()
            time.sleep(2)
    answers = clients.answers + others.answers
    return {
        "agent": [agent.returncode, said],
        "empty": empty,
        "moves": moves(head),
        "faults": [(round(a.began - announced, 1), a.teller, a.fault) for a in answers if a.fault],
        "before": where(a.teller for a in answers if a.ended < announced),
        "across": sum(a.began < announced < a.ended and len(a.lines) > 2 for a in answers),
        "after": where(a.teller for a in answers if a.began > left),
        "empty_after_s": round(left - announced, 1),
        "told": settled(head),
    }


def moves(head: nodes.Machine) -> list[str]:
    """What Serve did with replicas, in its order: `start` when one was ready, `stop` when one had to leave its node."""
    (log,) = (head.folder / "ray").glob("session_2*/logs/serve/controller_*.log")
    found = re.findall(r"Replica\(.*?\) (started successfully|on draining node)", log.read_text())
    return ["start" if what.startswith("started") else "stop" for what in found]


def where(tellers: Iterable[str]) -> list[str]:
    """The machines that answered."""
    return sorted({teller.partition(" ")[0] for teller in tellers})


def emptied(machine: nodes.Machine) -> bool:
    """Whether the Ray node ended by itself, as one does that drains and has nothing more to do."""
    deadline = time.monotonic() + EMPTY_S
    while machine.processes("/raylet/raylet"):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def main(folder: Path) -> int:
    head = nodes.head(HEAD, folder / "h", None, **QUICK)
    spot, other = (
        nodes.worker(address, folder / address[-1], HEAD, "--num-cpus=2", **QUICK) for address in (SPOT, OTHER)
    )
    with nodes.bridge(), nodes.on(head, spot, other):
        print(json.dumps(play(head, spot, other)))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
