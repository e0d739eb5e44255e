import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.admission import LONGEST_RETRY_S, UNKNOWN, Admission, AdmissionConfig, Answered, Place
from rag.errors import Overloaded
from tests.rag.queue_model import Queue

OFF = AdmissionConfig(enabled=False)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def taught(clock: Clock, times: Sequence[tuple[int, float]], ttft_s: float = 1.0) -> Admission:
    """An Admission that has seen first texts: with so many under way, after so many seconds."""
    admission = Admission(OFF, clock)
    for under_way, seconds in times:
        places = [admission.enter("m") for _ in range(under_way)]
        clock.now += seconds
        places[-1].answered()
        for place in places:
            place.leave()
    admission.config = AdmissionConfig(ttft_s=ttft_s)
    return admission


def fill(admission: Admission, model: str = "m") -> list[Place]:
    """Enter until refused."""
    places = []
    for _ in range(1_000):
        try:
            places.append(admission.enter(model))
        except Overloaded:
            break
    return places


def test_as_many_come_in_as_will_be_in_time_and_a_few_to_try() -> None:
    assert len(fill(taught(Clock(), [(4, 0.4)] * 40))) == 12
    assert len(fill(taught(Clock(), [(20, 0.4)] * 40))) == 54


def test_the_times_with_as_many_under_way_count_most() -> None:
    flat = taught(Clock(), [(1, 0.4)] * 40 + [(8, 0.5)] * 40)
    assert len(fill(flat)) == 18


def test_a_few_slow_answers_are_slow_for_all_who_come_now() -> None:
    assert len(fill(taught(Clock(), [(4, 0.4)] * 36 + [(4, 0.8)] * 4))) == 6


def test_what_is_known_of_one_model_says_nothing_of_another() -> None:
    admission = taught(Clock(), [(4, 3.9)] * 40)
    assert len(fill(admission)) < UNKNOWN == len(fill(admission, "other"))


def test_one_alone_always_comes_in_and_tells_when_times_are_better() -> None:
    clock = Clock()
    admission = taught(clock, [(1, 60.0)] * 40)
    clock.now += 61
    (place,) = fill(admission)
    clock.now += 0.1
    place.answered()
    place.leave()
    assert len(fill(admission)) == 20


def test_in_time_is_in_time_however_little_is_to_spare() -> None:
    """What takes its time alone does not become slower when two are under way."""
    clock = Clock()
    admission = taught(clock, [(1, 0.9)] * 40)
    places = fill(admission)
    for _ in range(2_000):
        clock.now += 0.9 / len(places)
        first = places.pop(0)
        first.line.seen.append(Answered(clock.now, 0.9, first.under_way))
        first.leave()
        places += fill(admission)
    assert len(places) > 30


def test_never_more_than_allowed_are_under_way() -> None:
    config = AdmissionConfig(max_in_flight=3)
    admission = Admission(config)
    places = fill(admission)
    places[0].answered()
    assert len(places + fill(admission)) == 3


def test_switched_off_everybody_comes_in() -> None:
    assert len(fill(Admission(AdmissionConfig(enabled=False, max_in_flight=1)))) == 1_000


def test_each_decision_is_told() -> None:
    heard: list[tuple[str, float, bool]] = []
    admission = Admission(AdmissionConfig(max_in_flight=1), told=lambda *decision: heard.append(decision))
    fill(admission)
    assert heard == [("m", 0.0, True), ("m", 0.0, False)]


@given(st.lists(st.sampled_from(["enter", "leave", "leave twice", "answered"]), max_size=60))
def test_a_place_is_given_back_exactly_once(steps: list[str]) -> None:
    admission = Admission(AdmissionConfig(max_in_flight=4))
    inside: list[Place] = []
    for step in steps:
        if step == "enter":
            try:
                inside.append(admission.enter("m"))
            except Overloaded:
                assert len(inside) == 4
        elif inside and step == "answered":
            inside[-1].answered()
        elif inside:
            place = inside.pop()
            place.leave()
            if step == "leave twice":
                place.leave()
        assert admission.lines["m"].under_way == len(inside) <= 4


def refusals(admission: Admission, count: int) -> list[int]:
    told = []
    for _ in range(count):
        with pytest.raises(Overloaded) as caught:
            admission.enter("m")
        told.append(caught.value.retry_after_s)
    return told


def test_the_refused_are_told_their_turn_at_the_rate_of_service() -> None:
    admission = taught(Clock(), [(4, 1.0)] * 40)  # four a second
    fill(admission)
    waits = refusals(admission, 40)
    assert waits == sorted(waits)
    assert waits[0] == 1
    assert 11 <= waits[-1] <= 14  # a fifth of the room is for who is new
    assert refusals(admission, 200)[-1] == LONGEST_RETRY_S


def test_a_turn_that_was_told_passes_with_time() -> None:
    clock = Clock()
    admission = taught(clock, [(4, 1.0)] * 40)
    fill(admission)
    waits = refusals(admission, 40)
    clock.now += waits[-1]
    assert refusals(admission, 1) == [1]


@pytest.mark.parametrize("servers", [4, 8, 32])
@pytest.mark.parametrize("seed", [0, 1])
def test_at_three_times_capacity_the_admitted_keep_their_time(servers: int, seed: int) -> None:
    seconds = 4_800 / servers
    calm = Queue(servers, OFF, seed).run(0.8, 2 * seconds)
    in_time = AdmissionConfig(ttft_s=1.2 * calm.quantile(0.95))
    flood = Queue(servers, in_time, seed).run(3.0, seconds)
    assert flood.quantile(0.95) <= 1.5 * calm.quantile(0.95)
    assert len(flood.ttft) >= 0.85 * 4_800
    assert len(flood.retry_after) >= 4_800


def test_without_admission_the_same_flood_ruins_everybodys_time() -> None:
    calm, flood = Queue(8, OFF).run(0.8, 300), Queue(8, OFF).run(3.0, 120)
    assert flood.quantile(0.5) > 10 * calm.quantile(0.95)


def test_at_the_load_that_is_planned_for_few_are_refused() -> None:
    calm = Queue(8, OFF).run(0.8, 300)
    kept = Queue(8, AdmissionConfig(ttft_s=1.5 * calm.quantile(0.95))).run(0.8, 300)
    assert len(kept.retry_after) <= 0.02 * len(kept.ttft)


def test_who_comes_back_when_told_mostly_comes_in() -> None:
    told = Queue(8, AdmissionConfig(ttft_s=2.0)).returning(10.0, 2)
    at_once = Queue(8, AdmissionConfig(ttft_s=2.0)).returning(10.0, 2, after_s=1)
    assert told.second_tries > 50
    assert told.refused_again <= 0.5 * told.second_tries
    assert at_once.refused_again > 0.9 * at_once.second_tries


def test_a_refusal_takes_no_time() -> None:
    admission = taught(Clock(), [(4, 1.0)] * 250)
    fill(admission)
    begin = time.perf_counter()
    refusals(admission, 200)
    assert (time.perf_counter() - begin) / 200 < 0.005
