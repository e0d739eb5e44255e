"""What a scenario does in Ray: in a driver on one of its machines."""

import json
import sys
import time
from typing import Any

from benchmarks.nodes import Machine

PATIENCE_S = 40


def on(machine: Machine, work: str) -> str:
    """Do one thing of tests/cluster/talk.py in a driver on `machine`; what it printed."""
    return machine.run(sys.executable, "-c", f"from tests.cluster import talk; talk.{work}", timeout=90)


def settled(machine: Machine) -> dict[str, Any]:
    """What Serve's controller tells when every application runs, or at last."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        told: dict[str, Any] = json.loads(on(machine, "show()").splitlines()[-1])
        if set(told["applications"].values()) == {"RUNNING"} or time.monotonic() > deadline:
            return told
