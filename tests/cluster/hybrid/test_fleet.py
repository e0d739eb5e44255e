"""The fleet over pretended pools: nothing waits or is counted twice, no id comes again, no budget is exceeded."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from cluster.hybrid.cluster_view import Seen
from cluster.hybrid.config import BackOff, Budget, LocalPool
from cluster.hybrid.fleet import Fleet
from cluster.hybrid.hosts import Hosts
from cluster.hybrid.lane import HIDDEN_S
from cluster.hybrid.policy import FleetPolicy, Terms
from cluster.hybrid.pool import TAG_KIND, LaunchRefused, Order
from cluster.hybrid.surroundings import Surroundings
from tests.cluster.hybrid.fakes import Clock, FakeCloud, FakeStarter

WORKER = {TAG_KIND: "worker"}


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.002)


class Two:
    """A fleet of a rack of hosts and a cloud with a budget."""

    def __init__(self, hosts: int = 2, budget: int = 3, patience: float | None = None):
        self.clock, self.starter, self.cloud = Clock(), FakeStarter(), FakeCloud()
        names = [f"h{n}" for n in range(hosts)]
        around = Surroundings(clock=self.clock)
        config = LocalPool(kind="local", hosts=names, node_types={"r": {}})
        terms = {
            "rack": Terms(True, 0, Budget(), {"r": 0.0}, tuple(names)),
            "cloud": Terms(False, 0, Budget(nodes=budget), {"c": 2.0}),
        }
        pools = {"rack": Hosts("rack", config, self.starter, around), "cloud": self.cloud}
        limit = {"cloud": patience} if patience else None
        self.fleet = Fleet(FleetPolicy(terms, BackOff()), pools, around, launch_timeout_s=limit)
        self.fleet.nodes()

    def create(self, kind: str, count: int) -> None:
        self.fleet.create(Order(kind, count, tags=dict(WORKER)))

    def settled(self) -> dict[str, str]:
        until(lambda: not any(lane.starting() for lane in self.fleet.lanes.values()))
        return {key: node.node_type for key, node in self.fleet.nodes().items()}


def test_ids_carry_the_pool_and_every_life_of_a_host_has_its_own() -> None:
    two = Two(hosts=1)
    seen = set()
    for _ in range(3):
        two.create("r", 1)
        (node_id,) = two.settled()
        seen.add(node_id)
        two.fleet.terminate(node_id)
        until(lambda: two.fleet.nodes() == {} and not two.fleet.busy())
    assert len(seen) == 3
    assert all(node_id.startswith("rack/h0@") for node_id in seen)


def test_a_launch_that_is_under_way_counts_against_the_budget() -> None:
    two = Two()
    two.cloud.hang = threading.Event()
    two.create("c", 2)
    two.create("c", 1)
    with pytest.raises(LaunchRefused, match="cloud: budget of 3 nodes"):
        two.create("c", 1)
    two.cloud.hang.set()
    assert list(two.settled().values()) == ["c"] * 3


def test_a_pool_that_hangs_delays_neither_launches_nor_listings() -> None:
    two = Two()
    two.cloud.hang = threading.Event()
    begin = time.monotonic()
    two.create("c", 1)
    two.create("r", 1)
    until(lambda: "r" in {node.node_type for node in two.fleet.nodes().values()})
    assert time.monotonic() - begin < 1
    two.cloud.hang.set()


def test_what_is_refused_in_part_shows_once_and_is_gone() -> None:
    two = Two()
    two.create("c", 5)
    assert sorted(key.split("/")[1][:6] for key in two.settled()) == ["failed", "failed", "i-1", "i-2", "i-3"]
    assert sorted(two.settled()) == ["cloud/i-1", "cloud/i-2", "cloud/i-3"]


def test_a_failed_launch_shows_once_counts_until_then_and_sets_aside() -> None:
    two = Two()
    two.cloud.broken = RuntimeError("quota")
    two.create("c", 1)
    until(lambda: two.fleet.policy.aside.reason("cloud", "c", two.clock()) is not None)
    assert two.fleet.limits()["c"].most == 1
    (ghost,) = two.settled()
    assert ghost.startswith("cloud/failed-")
    assert two.fleet.limits()["c"].most == 0
    with pytest.raises(LaunchRefused, match="set aside: RuntimeError: quota"):
        two.create("c", 1)


def test_a_launch_without_an_answer_is_given_up_and_still_counted() -> None:
    two = Two(patience=60)
    two.cloud.hang = threading.Event()
    two.create("c", 2)
    two.clock.now += 61
    assert len(two.fleet.nodes()) == 2
    assert two.fleet.policy.aside.reason("cloud", "c", two.clock()) == "no answer to a launch"
    assert two.fleet.nodes() == {}
    assert two.fleet.held() == {"c": 2}
    two.cloud.hang.set()
    assert sorted(two.settled()) == ["cloud/i-1", "cloud/i-2"]


def test_a_pool_that_was_never_listed_starts_nothing_but_keeps_what_the_cluster_sees() -> None:
    cloud = FakeCloud()
    cloud.silent = RuntimeError("no credentials")
    terms = {"cloud": Terms(False, 0, Budget(), {"c": 2.0})}
    around = Surroundings(view=lambda: {"cloud/i-9": Seen("c"), "head": Seen("head", True)})
    fleet = Fleet(FleetPolicy(terms, BackOff()), {"cloud": cloud}, around)
    assert set(fleet.nodes()) == {"cloud/i-9", "head"}
    assert fleet.limits()["c"].most == 1
    with pytest.raises(LaunchRefused, match="cloud: not listed yet: RuntimeError: no credentials"):
        fleet.create(Order("c", 1))


def test_a_listing_that_fails_keeps_the_last_one() -> None:
    two = Two()
    two.create("c", 1)
    assert list(two.settled()) == ["cloud/i-1"]
    two.cloud.silent = RuntimeError("throttled")
    assert list(two.fleet.nodes()) == ["cloud/i-1"]
    assert two.fleet.lanes["cloud"].error == "RuntimeError: throttled"


def test_ending_what_is_unknown_is_no_error() -> None:
    two = Two()
    for node_id in ("cloud/i-404", "nowhere/x", "head"):
        two.fleet.terminate(node_id)
    assert two.settled() == {}


def test_a_node_whose_end_failed_is_listed_again_and_can_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(node_id: str) -> None:
        raise RuntimeError("throttled")

    two = Two()
    two.create("c", 1)
    (node_id,) = two.settled()
    with monkeypatch.context() as patched:
        patched.setattr(two.cloud, "terminate", fail)
        two.fleet.terminate(node_id)
        until(lambda: list(two.fleet.nodes()) == [node_id])
    two.fleet.terminate(node_id)
    until(lambda: two.fleet.nodes() == two.fleet.held() == {})


def test_a_node_that_was_ended_and_stays_listed_is_hidden_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    two = Two()
    two.create("c", 1)
    (node_id,) = two.settled()
    monkeypatch.setattr(two.cloud, "terminate", lambda node_id: None)
    two.fleet.terminate(node_id)
    two.clock.now += HIDDEN_S - 1
    assert two.fleet.nodes() == {}
    assert two.fleet.held() == {"c": 1}
    two.clock.now += 1
    assert list(two.fleet.nodes()) == [node_id]


def test_many_threads_never_exceed_a_budget_or_share_a_host() -> None:
    two = Two(hosts=5, budget=7)

    def ask(number: int) -> None:
        with suppress(LaunchRefused):
            two.create("rc"[number % 2], 1 + number % 3)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(ask, range(60)))
    two.settled()
    assert two.fleet.held() == {"r": 5, "c": 7}
    assert sorted(host for host, _ in two.starter.started) == [f"h{n}" for n in range(5)]


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.tuples(st.sampled_from(["r", "c", "end", "down"]), st.integers(1, 4)), max_size=12),
    budget=st.integers(0, 5),
)
def test_ids_are_unique_for_ever_and_budgets_hold(steps: list[tuple[str, int]], budget: int) -> None:
    two = Two(hosts=3, budget=budget)
    lives: list[str] = []
    current: set[str] = set()
    for what, number in steps:
        if what == "down":
            two.starter.down ^= {f"h{number % 3}"}
        elif what == "end":
            for node_id in sorted(current)[:number]:
                two.fleet.terminate(node_id)
        else:
            with suppress(LaunchRefused):
                two.create(what, number)
        listed = set(two.settled())
        lives += sorted(listed - current)
        current = listed
        assert two.fleet.held().get("c", 0) <= budget
        assert two.fleet.held().get("r", 0) <= 3
    assert len(lives) == len(set(lives))
