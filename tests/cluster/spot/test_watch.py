"""The watch drains once for a notice, goes on after a recommendation, and asks less often while nobody answers."""

import json
import logging

import pytest

from cluster.spot.notice import Notice, Unreachable
from cluster.spot.ray_node import NotDrained
from cluster.spot.watch import LONGEST_PAUSE_S, Watch

NOW = 1_000.0
END = Notice("spot terminate", NOW + 120)
RISK = Notice("rebalance recommendation", None)


class Told:
    """A cloud that says these things, one by one."""

    name = "aws"

    def __init__(self, *says: Notice | Exception | None):
        self._says = list(says)

    def here(self) -> bool:
        return True

    def notice(self) -> Notice | None:
        said = self._says.pop(0)
        if isinstance(said, Exception):
            raise said
        return said


class Node:
    """A node that remembers how it was drained; the first `refusals` drains fail."""

    def __init__(self, refusals: int = 0):
        self.refusals = refusals
        self.drains: list[tuple[str, float | None]] = []

    def drain(self, reason: str, stop_in_s: float | None) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotDrained("the head does not answer")
        self.drains.append((reason, stop_in_s))


def watch(node: Node, *says: Notice | Exception | None) -> list[float]:
    """Watch until it ends; the pauses between the looks."""
    pauses: list[float] = []
    Watch(Told(*says), node, 2.0, clock=lambda: NOW, sleep=pauses.append).run()
    return pauses


def test_a_notice_drains_and_ends_the_watch() -> None:
    node = Node()
    assert watch(node, None, None, END) == [2.0, 2.0]
    assert node.drains == [("aws: spot terminate", 60.0)]


def test_a_recommendation_drains_without_hurry_and_the_notice_hurries_it() -> None:
    node = Node()
    watch(node, RISK, RISK, None, END)
    assert node.drains == [("aws: rebalance recommendation", None), ("aws: spot terminate", 60.0)]


def test_a_time_that_is_over_leaves_none() -> None:
    node = Node()
    watch(node, Notice("preemption", NOW - 5))
    assert node.drains == [("aws: preemption", 0.0)]


def test_a_drain_that_fails_is_tried_again() -> None:
    node = Node(refusals=2)
    watch(node, END, END, END)
    assert len(node.drains) == 1


def test_a_silent_service_is_asked_less_often_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        pauses = watch(Node(), *[Unreachable("timed out")] * 5, None, END)
    assert pauses == [4.0, 8.0, LONGEST_PAUSE_S, LONGEST_PAUSE_S, LONGEST_PAUSE_S, 2.0]
    assert sum("does not answer" in r.message for r in caplog.records) == 1
    assert sum("answers again" in r.message for r in caplog.records) == 1


@pytest.mark.parametrize("broken", [json.JSONDecodeError("empty", "", 0), KeyError("Events"), TypeError("a list")])
def test_an_answer_that_is_none_does_not_end_the_watch(broken: Exception) -> None:
    node = Node()
    watch(node, broken, END)
    assert len(node.drains) == 1
