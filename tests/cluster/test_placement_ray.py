"""Real Ray places replicas as cluster/gpu.yaml says: what is private never leaves home, everything else may."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from deployments.settings import ROOT


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Where replicas stood. The cluster has processes, folders and a token of its own, and ends with its process."""
    folder = tmp_path_factory.mktemp("ray")
    token = folder / "token"
    token.write_text("t" * 64)
    output = folder / "seen.json"
    environment = {
        **os.environ,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_TMPDIR": str(folder),
        "RAY_SERVE_ENABLE_HA_PROXY": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_prestart_worker_first_driver": "0",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_failure_threshold": "3",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster.two_sites", str(output)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found: dict[str, Any] = json.loads(output.read_text())
    return found


@pytest.mark.ray
def test_a_private_model_and_the_retriever_stay_at_home_though_the_cloud_has_room(seen: dict[str, Any]) -> None:
    assert seen["both"]["LLM:llama-70b"] == {"onprem": 2, "nowhere": 1}
    assert seen["both"]["Retriever"] == {"onprem": 2, "nowhere": 1}


@pytest.mark.ray
def test_others_fall_back_to_the_cloud_when_home_is_full(seen: dict[str, Any]) -> None:
    assert seen["both"]["LLM:qwen-7b"] == {"cloud": 1}
    assert seen["both"]["Ingress"] == {"cloud": 1}


@pytest.mark.ray
def test_what_is_private_does_not_move_when_home_is_lost(seen: dict[str, Any]) -> None:
    for name in ("LLM:llama-70b", "Retriever"):
        assert set(seen["alone"].get(name, {})) <= {"nowhere"}
    assert seen["alone"]["LLM:qwen-7b"] == {"cloud": 1}
    assert seen["alone"]["Ingress"] == {"cloud": 1}


@pytest.mark.ray
def test_a_replica_that_went_astray_does_not_start(seen: dict[str, Any]) -> None:
    assert "must stand at the site 'onprem'" in seen["refused"]


@pytest.mark.ray
def test_a_process_without_the_token_cannot_join(seen: dict[str, Any]) -> None:
    assert "AuthenticationError" in seen["stranger"]
