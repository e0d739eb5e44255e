"""The policy as a pure function of what Serve measured."""

import pickle
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray import cloudpickle
from ray.serve._private.common import DeploymentID

from deployments import autoscaling
from deployments.autoscaling import FRONT, HALF_LIFE_S, LOAD, SLEEPS, Seen, decide, in_step, learned, settled, share

TAUGHT = {"at": 0.0, "here": 40.0, "front": 200.0}
"""A share of a fifth."""


def stage(ongoing: float = 0, share: float = 0, running: int = 1, **more: Any) -> Seen:
    return Seen("Reranker", ongoing, 16, running, more.pop("aimed", running), share=share, **more)


def engine(ongoing: float = 0, running: int = 1, **more: Any) -> Seen:
    return Seen("LLM:quote", ongoing, 32, running, more.pop("aimed", running), **more)


def context(
    name: str, ongoing: float, running: int = 1, told: Any = None, state: Any = None, target: float = 16, at: float = 0
) -> Any:
    """What Serve hands over of one deployment."""
    return SimpleNamespace(
        deployment_name=name,
        total_num_requests=ongoing,
        config=SimpleNamespace(target_ongoing_requests=target),
        current_num_replicas=running,
        target_num_replicas=running,
        aggregated_metrics=told or {},
        policy_state=state or {},
        current_time=at,
    )


def step(*contexts: Any) -> tuple[dict[str, int], dict[str, Any]]:
    """One tick, by name."""
    replicas, states = in_step({DeploymentID(c.deployment_name): c for c in contexts})
    return {id.name: count for id, count in replicas.items()}, {id.name: state for id, state in states.items()}


def test_a_deployment_has_replicas_for_its_own_work() -> None:
    assert decide(stage(ongoing=40), front=0) == 3
    assert decide(engine(ongoing=40), front=0) == 2


def test_a_stage_rises_with_the_front_before_anything_waits_for_it() -> None:
    assert decide(stage(ongoing=0, share=0.1), front=400) == 3


def test_a_stage_never_has_less_than_its_own_work_asks_for() -> None:
    assert decide(stage(ongoing=80, share=0.1), front=10) == 5


def test_a_full_kv_cache_or_a_queue_in_the_engine_asks_for_more_than_the_requests_do() -> None:
    assert decide(engine(ongoing=10, load=1.3), front=0) == 2
    assert decide(engine(ongoing=100, load=1.3), front=0) == 4


def test_a_model_that_nobody_asks_is_not_woken_by_the_front() -> None:
    assert decide(engine(running=0, sleeps=True, share=0.5), front=500) == 0
    assert decide(engine(running=1, sleeps=True, share=0.01), front=500) == 0
    assert decide(engine(running=1, sleeps=True, share=0.5), front=500) == 8


@pytest.mark.parametrize(("said", "floor"), [(True, 0), (False, 1)])
def test_only_a_model_that_may_sleep_goes_to_zero(said: bool, floor: int) -> None:
    assert decide(engine(running=1, sleeps=said), front=0) == floor


@pytest.mark.parametrize("running", [0, 1])
def test_a_model_that_has_said_nothing_stays_as_it_is(running: int) -> None:
    assert decide(engine(running=running), front=0) == running


@pytest.mark.parametrize("name", ["Ingress", "Retriever", "Embedder"])
def test_a_stage_always_has_a_replica(name: str) -> None:
    assert decide(Seen(name, 0, 16, 0, 0), front=0) == 1


def test_a_replica_is_given_up_only_when_the_others_have_room_to_spare() -> None:
    assert [settled(wanted, 3) for wanted in (2.1, 2.0, 1.7, 1.6, 0.5, 0.0)] == [3, 3, 3, 2, 1, 0]
    assert [settled(wanted, 2) for wanted in (2.0, 2.1, 5.0)] == [2, 3, 5]


@given(st.floats(0, 100), st.integers(0, 100))
def test_no_load_makes_the_replicas_go_up_and_down(wanted: float, aimed: int) -> None:
    chosen = settled(wanted, aimed)
    assert chosen >= wanted - 1e-3
    assert settled(wanted, chosen) == chosen


def taught(seconds: float, here: float, front: float, state: dict[str, Any]) -> dict[str, Any]:
    """`state` after a tick a tenth of a second, for so long."""
    for _ in range(round(seconds * 10)):
        state = learned(state, state["at"] + 0.1, here, front)
    return state


def test_a_share_is_known_when_enough_requests_have_come_by_and_is_bounded() -> None:
    assert share({}) == share(taught(1, 1, 4, {"at": 0.0})) == 0
    assert share(taught(2, 1, 4, {"at": 0.0})) == pytest.approx(0.25)
    assert share(taught(2, 30, 4, {"at": 0.0})) == 1


def test_half_of_a_share_is_new_after_a_half_life() -> None:
    old = taught(1000, 1, 10, {"at": 0.0})
    assert share(taught(HALF_LIFE_S, 3, 10, old)) == pytest.approx(0.2, rel=0.01)
    assert share(taught(HALF_LIFE_S, 0, 0, old)) == pytest.approx(0.1)


def test_a_share_outlives_a_quiet_night() -> None:
    old = taught(1000, 1, 10, {"at": 0.0})
    night = learned(old, old["at"] + 100 * HALF_LIFE_S, 0, 0)
    assert share(night) == share(old) == pytest.approx(0.1)


def test_a_stage_that_nothing_has_reached_yet_rises_with_the_one_where_all_wait() -> None:
    held = [context("Embedder", 200, state=TAUGHT, at=9), context("Reranker", 0, state=TAUGHT, at=9)]
    replicas, states = step(context(FRONT, 200, running=4, target=64, at=9), *held)
    assert replicas == {FRONT: 4, "Embedder": 13, "Reranker": 3}
    assert share(states["Reranker"]) == pytest.approx(0.2)


def test_a_share_is_learned_while_nothing_queues() -> None:
    calm = [context(FRONT, 20, target=64, at=10, state={"at": 0.0}), context("Embedder", 2, at=10, state={"at": 0.0})]
    _, states = step(*calm)
    assert share(states["Embedder"]) == pytest.approx(0.1)
    _, states = step(*calm, context("Reranker", 17, at=10))
    assert share(states["Embedder"]) == 0


def test_the_replicas_of_a_model_sum_up_and_all_must_let_it_sleep() -> None:
    told = {LOAD: {"a": 0.9, "b": 0.4}, SLEEPS: {"a": 1.0, "b": 1.0}}
    replicas, states = step(context("LLM:quote", 1, running=2, told=told))
    assert (replicas["LLM:quote"], states["LLM:quote"][SLEEPS]) == (2, True)
    _, states = step(context("LLM:quote", 1, running=2, told={**told, SLEEPS: {"a": 1.0, "b": 0.0}}))
    assert states["LLM:quote"][SLEEPS] is False


def test_what_a_model_said_is_remembered_when_it_has_no_replica() -> None:
    replicas, states = step(context("LLM:quote", 0, running=0, state={SLEEPS: True}))
    assert (replicas["LLM:quote"], states["LLM:quote"][SLEEPS]) == (0, True)


def test_an_application_without_our_front_scales_each_deployment_by_itself() -> None:
    assert step(context("Other", 40))[0] == {"Other": 3}


def test_the_controller_needs_nothing_of_the_project_to_run_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    cloudpickle.register_pickle_by_value(autoscaling)
    try:
        pickled = cloudpickle.dumps(in_step)
    finally:
        cloudpickle.unregister_pickle_by_value(autoscaling)
    for name in [name for name in sys.modules if name.split(".")[0] in ("deployments", "rag")]:
        monkeypatch.setitem(sys.modules, name, None)
    policy = pickle.loads(pickled)
    (replicas, _) = policy({DeploymentID("Reranker"): context("Reranker", 40)})
    assert list(replicas.values()) == [3]
