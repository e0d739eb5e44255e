"""Interactive requests go before batch ones in a real engine that the shipped profile configures."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "cluster" / "local.yaml"


@pytest.mark.vllm
def test_an_interactive_request_comes_before_the_batch_ones_that_wait_for_the_engine() -> None:
    model = yaml.safe_load(LOCAL.read_text())["applications"][0]["args"]["models"][0]
    environment = [f"{name}={value}" for name, value in model["env"].items()]
    command = [sys.executable, "-m", "tests.deployments.order_of_vllm", str(LOCAL)]
    done = subprocess.run(
        ["sh", str(ROOT / "tests" / "isolate.sh"), "env", *environment, *command],
        capture_output=True,
        text=True,
        timeout=280,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (order,) = (json.loads(line)["order"] for line in done.stdout.splitlines() if line.startswith('{"order"'))
    assert order.index("interactive") == 2
    assert len(order) == 7


def test_every_profile_lets_the_engine_order_by_priority() -> None:
    for profile in (LOCAL, ROOT / "cluster" / "gpu.yaml"):
        models = yaml.safe_load(profile.read_text())["applications"][0]["args"]["models"]
        assert {model["engine"]["scheduling_policy"] for model in models} == {"priority"}
