"""Real Ray, real autoscaler v2: owned nodes first, then the cloud; a broken pool and a full one hold up nothing."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 200


def environment(folder: Path) -> dict[str, str]:
    """Of every process of the cluster; Ray reads its authentication mode when it is imported."""
    token = folder / "token"
    token.write_text("t" * 64)
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_enable_autoscaler_v2": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_CLOUD_INSTANCE_ID": "head",
        "RAY_NODE_TYPE_NAME": "head",
    }


@pytest.fixture(scope="module")
def played() -> Iterator[dict[str, Any]]:
    """What the scenario printed; its sockets need a short path."""
    folder = Path(tempfile.mkdtemp(prefix="hy", dir="/tmp"))
    command = [ROOT / "tests" / "isolate.sh", sys.executable, "-m", "tests.cluster.hybrid.scenario", folder]
    try:
        done = subprocess.run(
            command, env=environment(folder), cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        assert done.returncode == 0, done.stderr[-8000:]
        yield json.loads(done.stdout.splitlines()[-1])
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.ray
def test_owned_nodes_come_first_then_the_cloud(played: dict[str, Any]) -> None:
    assert [where for where, _ in played["placed"]] == ["local-gpu", "cloud-gpu", "cloud-gpu"]


@pytest.mark.ray
def test_a_host_that_refuses_is_set_aside_and_reported(played: dict[str, Any]) -> None:
    (entry,) = played["refused"]["pools"]["rack"]["aside"]
    assert entry["thing"] == "127.0.0.1"
    assert "refused" in entry["reason"]


@pytest.mark.ray
def test_a_restarted_autoscaler_adopts_what_runs_and_ends_it_later(played: dict[str, Any]) -> None:
    assert played["adopted"] == {"rack-gpu": 0, "local-gpu": 1, "cloud-gpu": 2}
    assert played["left"] == []


@pytest.mark.ray
def test_the_cloud_is_given_back_first(played: dict[str, Any]) -> None:
    gone = played["gone"]
    assert gone["cloud-gpu"] < gone["local-gpu"]
