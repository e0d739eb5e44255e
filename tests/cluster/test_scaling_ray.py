"""Real Ray Serve scales by our policy and routes by our router; the engines are fakes that report what ours do."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from deployments.settings import ROOT
from tests.cluster.affinity_scene import FEW, IMBALANCE, MANY
from tests.cluster.scaled_app import STAGES
from tests.cluster.scaling_scene import STEP

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """How the replicas rose and fell. Serve runs as in production (throughput-optimised), but for HAProxy."""
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
        "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        "RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    done = subprocess.run(
        [sys.executable, "-m", "tests.cluster.scaling_scene", str(output)],
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


def test_little_load_needs_no_more_than_one_replica(seen: dict[str, Any]) -> None:
    assert {seen[when][name] for when in ("first", "little") for name in STEP} == {1}


def test_all_stages_and_the_model_rise_though_no_request_has_reached_them(seen: dict[str, Any]) -> None:
    assert seen["in_step"]
    assert {name: seen["held"][name] for name in STEP} == dict.fromkeys(STEP, 2)
    assert [seen["passed"][name] for name in STAGES[1:]] == [0, 0]
    assert seen["started"]


def test_they_fall_when_the_load_has_gone(seen: dict[str, Any]) -> None:
    assert {seen["much"][name] for name in STEP} == {2}
    assert seen["down"]
    assert {seen["none"][name] for name in STEP} == {1}


def test_requests_for_one_model_wake_no_other(seen: dict[str, Any]) -> None:
    assert {seen[when]["LLM:sleeper"] for when in ("first", "little", "held", "much", "none")} == {0}


def test_the_first_request_waits_for_a_sleeping_model_and_is_answered(seen: dict[str, Any]) -> None:
    sleeper = seen["sleeper"]
    assert (sleeper["asleep"], sleeper["awake"], sleeper["pieces"]) == (0, 1, 3)


def test_streams_that_were_queued_rejected_or_left_keep_no_replica_alive(seen: dict[str, Any]) -> None:
    """Ray counted a stream that a full replica had rejected as under way for ever (ray-project/ray, pull 61920)."""
    assert seen["sleeper"]["back"]


def test_prompts_that_begin_alike_go_to_the_same_replica(seen: dict[str, Any]) -> None:
    alpha, beta = (seen["affinity"]["in_turn"][topic] for topic in ("alpha", "beta"))
    assert [list(alpha.values()), list(beta.values())] == [[3], [3]]
    assert alpha.keys() != beta.keys()
    assert seen["affinity"]["few"] == {next(iter(alpha)): FEW}


def test_over_the_cut_off_they_spread(seen: dict[str, Any]) -> None:
    many = seen["affinity"]["many"]
    assert (len(many), sum(many.values())) == (2, MANY)
    assert min(many.values()) > IMBALANCE


def test_the_loss_of_the_tree_of_prefixes_fails_no_request_and_a_new_one_grows(seen: dict[str, Any]) -> None:
    assert sum(seen["affinity"]["tree_lost"]["gamma"].values()) == 3
    assert [list(names.values()) for names in seen["affinity"]["tree_again"].values()] == [[3], [3]]
