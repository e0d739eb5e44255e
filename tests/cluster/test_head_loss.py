"""Real Ray: the head is killed and comes back with its tables from disk; the worker answers all the while."""

from typing import Any

import pytest

from benchmarks.nodes import may_make_machines
from tests.cluster.machines import play

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not may_make_machines(), reason="needs the right to make network namespaces"),
]


@pytest.fixture(scope="module")
def played() -> dict[str, Any]:
    return play("tests.cluster.head_loss", "kept")


def test_requests_and_streams_are_answered_without_a_head(played: dict[str, Any]) -> None:
    assert played["faults"] == []
    assert min(answered for answered, _ in played["parts"].values()) > 10


def test_the_head_takes_back_the_replicas_that_run(played: dict[str, Any]) -> None:
    first, *later = [tellers for _, tellers in played["parts"].values()]
    assert len(first) == 2
    assert later == [first] * 4
    assert played["told"][0]["applications"] == {"talk": "RUNNING"}


def test_the_head_that_came_back_deploys(played: dict[str, Any]) -> None:
    teller, fault = played["late"]
    assert not fault
    assert teller not in played["parts"]["first"][1]


def test_a_head_starts_again_when_a_process_of_it_is_killed(played: dict[str, Any]) -> None:
    assert played["told"][1]["applications"] == {"talk": "RUNNING", "late": "RUNNING"}
    assert played["told"][1]["replicas"] == {"talk": 2, "late": 1}
