"""Order, budgets and set-aside of the policy, by example and by property."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.hybrid.config import BackOff, Budget
from cluster.hybrid.policy import FleetPolicy, Terms
from cluster.hybrid.set_aside import SetAside

FREE = Budget()


def owned(name: str, hosts: int, priority: int = 0) -> Terms:
    return Terms(True, priority, FREE, {name: 0.0}, tuple(f"h{n}" for n in range(hosts)))


def cloud(prices: dict[str, float], budget: Budget = FREE) -> Terms:
    return Terms(False, 0, budget, prices)


def policy(**pools: Terms) -> FleetPolicy:
    return FleetPolicy(pools, BackOff(first_s=10, factor=2, longest_s=50))


def test_owned_pools_come_first_by_priority_then_clouds_by_price() -> None:
    pools = {"a": owned("a", 1, 1), "b": owned("b", 1, 9), "spot": cloud({"s": 2.0}), "on": cloud({"o": 5.0})}
    assert policy(**pools).order == ["b", "a", "s", "o"]


def test_prices_are_compared_by_gpu() -> None:
    both = {"one": cloud({"one": 4.0}), "eight": cloud({"eight": 24.0})}
    assert FleetPolicy(both, BackOff(), {"one": 1, "eight": 8}).order == ["eight", "one"]


def test_a_grant_names_free_hosts_and_tells_why_there_are_no_more() -> None:
    chosen = policy(rack=owned("r", 3))
    chosen.aside.fail("rack", "h1", "refused", 0)
    grant = chosen.grant("r", 5, {"r": 1}, {"rack/h0"}, 1)
    assert (grant.count, grant.hosts, grant.refused) == (1, ("h2",), "rack: no host is free")


def test_budgets_of_nodes_and_of_money() -> None:
    chosen = policy(c=cloud({"small": 1.0, "big": 10.0}, Budget(nodes=5, per_hour=25)))
    assert chosen.grant("big", 9, {"small": 4}, (), 0).count == 1
    grant = chosen.grant("big", 9, {"big": 2}, (), 0)
    assert (grant.count, grant.refused) == (0, "c: budget of 25 per hour")
    assert chosen.grant("small", 9, {"big": 2}, (), 0).count == 3
    assert chosen.spend("c", {"big": 2, "small": 3}) == 23


def test_limits_never_lie_below_what_is_held() -> None:
    chosen = policy(c=cloud({"x": 2.0}, Budget(nodes=1)), rack=owned("r", 2))
    chosen.aside.fail("rack", "h0", "down", 0)
    limits = chosen.limits({"x": 3, "r": 1}, {"rack/h1"}, 1)
    assert {kind: limit.most for kind, limit in limits.items()} == {"x": 3, "r": 1}


def test_minimum_nodes_yield_to_what_can_be_had() -> None:
    terms = Terms(False, 0, Budget(nodes=2), {"x": 1.0}, least={"x": 4})
    assert policy(c=terms).limits({}, (), 0)["x"].least == 2


def test_hosts_that_join_by_themselves_are_never_asked_for() -> None:
    chosen = policy(rack=Terms(True, 0, FREE, {"r": 0.0}, ("h0",), startable=False))
    assert chosen.limits({"r": 1}, (), 0)["r"].most == 0
    assert "join by themselves" in chosen.grant("r", 1, {}, (), 0).refused


def test_a_node_type_without_a_pool_is_an_error() -> None:
    with pytest.raises(KeyError):
        policy(rack=owned("r", 1)).pool_of("other")


def test_back_off_grows_is_bounded_and_ends_with_a_success() -> None:
    aside = SetAside(BackOff(first_s=10, factor=2, longest_s=50))
    waits, now = [], 0.0
    for _ in range(5):
        entry = aside.fail("p", "h", "refused", now)
        waits.append(entry.until - now)
        assert aside.fail("p", "h", "again", now + 1) == entry
        assert aside.reason("p", "h", now + 1) == "refused"
        now = entry.until
        assert aside.reason("p", "h", now) is None
    assert waits == [10, 20, 40, 50, 50]
    aside.succeed("p", "h")
    assert aside.fail("p", "h", "refused", now).failures == 1


def test_a_clock_that_is_put_back_sets_nothing_aside_for_long() -> None:
    aside = SetAside(BackOff())
    aside.fail("p", "h", "refused", 1e9)
    assert aside.reason("p", "h", 10) is None
    assert list(aside.current(10)) == []
    assert aside.fail("p", "h", "refused", 10).until == 70


def test_ten_thousand_failures_overflow_nothing() -> None:
    aside, now = SetAside(BackOff(factor=10, longest_s=60)), 0.0
    for _ in range(10_000):
        now = aside.fail("p", "h", "refused", now).until
    assert aside.fail("p", "h", "refused", now).until - now == 60


@given(
    nodes=st.none() | st.integers(0, 12),
    per_hour=st.none() | st.floats(0, 60),
    steps=st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(-4, 9), st.booleans()), max_size=40),
)
def test_no_sequence_of_launches_and_losses_exceeds_a_budget(
    nodes: int | None, per_hour: float | None, steps: list[tuple[str, int, bool]]
) -> None:
    chosen = policy(c=cloud({"a": 1.5, "b": 7.0}, Budget(nodes=nodes, per_hour=per_hour)))
    held, now = {"a": 0, "b": 0}, 0.0
    for kind, count, fails in steps:
        now += 1
        if count <= 0:
            held[kind] = max(0, held[kind] + count)
            continue
        grant = chosen.grant(kind, count, held, (), now)
        assert 0 <= grant.count <= count
        assert bool(grant.refused) == (grant.count < count)
        held[kind] += grant.count
        if fails:
            chosen.aside.fail("c", kind, "no capacity", now)
        assert nodes is None or sum(held.values()) <= nodes
        assert per_hour is None or chosen.spend("c", held) <= per_hour + 1e-6
