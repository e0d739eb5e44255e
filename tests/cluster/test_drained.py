"""Real Ray and Serve: a cloud announces that it takes a machine, and the agent on it moves the application first."""

from itertools import accumulate
from typing import Any

import pytest

from benchmarks.nodes import may_make_machines
from tests.cluster.machines import play

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not may_make_machines(), reason="needs the right to make network namespaces"),
]
SPOT, OTHER = "10.9.0.2", "10.9.0.3"


@pytest.fixture(scope="module")
def played() -> dict[str, Any]:
    return play("tests.cluster.drained")


def test_no_request_fails_and_every_stream_ends(played: dict[str, Any]) -> None:
    assert played["faults"] == []
    assert played["across"] > 0


def test_the_replicas_stand_on_the_other_machine(played: dict[str, Any]) -> None:
    assert played["before"] == [SPOT]
    assert played["after"] == [OTHER]
    assert played["told"]["applications"] == {"talk": "RUNNING"}
    assert played["told"]["replicas"] == {"talk": 2}
    assert SPOT not in played["told"]["proxies"]


def test_a_replica_stops_only_when_another_is_ready(played: dict[str, Any]) -> None:
    ready = list(accumulate(1 if move == "start" else -1 for move in played["moves"]))
    assert min(ready[1:]) == 2
    assert ready[-1] == 2
    assert len(ready) == 6


def test_the_node_is_empty_and_the_agent_has_ended(played: dict[str, Any]) -> None:
    status, said = played["agent"]
    assert status == 0
    assert "aws" in said
    assert "the node drains" in said
    assert played["empty"]
