"""Who is let in, who is refused with how long a wait, and what is learned from the answers."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.admission import UNKNOWN, Admission, AdmissionConfig, Decision
from rag.errors import Overloaded
from rag.line import LATEST, LONGEST_RETRY_S, Answered, Place, Times
from rag.types import Priority

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


def fill(admission: Admission, model: str = "m", priority: Priority = "interactive") -> list[Place]:
    """Enter until refused."""
    places = []
    for _ in range(1_000):
        try:
            places.append(admission.enter(model, priority))
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
        first.line.even.seen.append(Answered(clock.now, 0.9, first.among))
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
    heard: list[Decision] = []
    admission = Admission(AdmissionConfig(max_in_flight=1), told=heard.append)
    fill(admission)
    fill(admission, priority="batch")
    assert heard == [
        Decision("m", "interactive", 0.0, True, 0.0),
        Decision("m", "interactive", 0.0, False, 0.0),
        Decision("m", "batch", 0.0, False, 0.0),
    ]


async def test_who_waits_is_told_as_they_come_and_go() -> None:
    told: list[tuple[str, int]] = []
    admission = Admission(AdmissionConfig(max_in_flight=1), waits=lambda *one: told.append(one))
    [inside] = fill(admission)
    waiting = [asyncio.ensure_future(admission.wait("m")) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.gather(waiting[1], return_exceptions=True)
    inside.leave()
    (await waiting[0]).leave()
    (await waiting[2]).leave()
    assert [count for _, count in told] == [1, 2, 3, 2, 1, 0]


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
        assert admission.line("m").under_way == len(inside) <= 4


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
    assert refusals(admission, 200)[-1] == LONGEST_RETRY_S["interactive"]


def test_a_turn_that_was_told_passes_with_time() -> None:
    clock = Clock()
    admission = taught(clock, [(4, 1.0)] * 40)
    fill(admission)
    waits = refusals(admission, 40)
    clock.now += waits[-1]
    assert refusals(admission, 1) == [1]


def test_a_wait_is_forgotten_only_for_answers_that_were_asked_for_after_it() -> None:
    clock = Clock()
    times = Times(clock)
    clock.now = 30.0
    times.note(30.0, 3)
    clock.now = 31.0
    for _ in range(LATEST):
        times.note(1.5, 3)
    assert len(times.seen) == LATEST + 1
    for _ in range(LATEST):
        clock.now += 1.0
        times.note(0.5, 3)
    assert [answer.seconds for answer in times.seen] == [1.5] * LATEST + [0.5] * LATEST


def test_batch_fills_only_its_share_and_interactive_comes_in_as_if_it_were_not_there() -> None:
    alone = len(fill(taught(Clock(), [(20, 0.4)] * 40)))
    admission = taught(Clock(), [(20, 0.4)] * 40)
    batch = fill(admission, priority="batch")
    assert (len(batch), len(fill(admission)), alone) == (27, 54, 54)
    assert fill(admission, priority="batch") == []


def test_batch_leaves_its_share_of_the_most_that_may_be_under_way() -> None:
    admission = Admission(AdmissionConfig(max_in_flight=8, batch_share=0.25))
    assert [len(fill(admission, priority=p)) for p in ("batch", "interactive", "batch")] == [2, 8, 0]


def test_an_interactive_request_beside_batch_is_judged_by_the_least_it_would_take_alone() -> None:
    """Nothing is known without batch, and what it took beside nine others is late."""
    admission = taught(Clock(), [])
    batch = [admission.line("m").enter("batch") for _ in range(9)]
    place = admission.enter("m")
    admission.clock.now += 2.0  # type: ignore[attr-defined]
    place.answered()
    place.leave()
    assert len(fill(admission)) == 5
    assert fill(admission, priority="batch") == []
    for one in batch:
        one.leave()


def test_a_batch_answer_tells_the_wait_only_where_no_interactive_request_went_before_it() -> None:
    admission = Admission(AdmissionConfig())
    line = admission.line("m")
    overtaken = admission.enter("m", "batch")
    admission.enter("m").leave()
    overtaken.answered()
    assert (len(line.even.seen), len(line.mixed.seen)) == (0, 0)
    admission.enter("m", "batch").answered()
    assert (len(line.even.seen), len(line.mixed.seen)) == (1, 0)
    admission.enter("m").answered()
    assert (len(line.even.seen), len(line.mixed.seen)) == (1, 1)


def test_who_waits_is_called_in_turn_and_never_passed_by_another_batch_request() -> None:
    admission = Admission(AdmissionConfig(max_in_flight=2))
    first = admission.enter("m", "batch")
    called: list[int] = []
    places: list[Place] = []
    for n in range(3):
        admission.queue("m", lambda place, n=n: (called.append(n), places.append(place)))  # type: ignore[misc]
    with pytest.raises(Overloaded):
        admission.enter("m", "batch")
    first.leave()
    assert called == [0]
    places[0].leave()
    assert called == [0, 1]


def test_a_batch_request_is_told_the_time_that_the_waiting_before_it_take() -> None:
    clock = Clock()
    admission = Admission(AdmissionConfig(max_in_flight=2), clock)
    for _ in range(10):
        place = admission.enter("m", "batch")
        clock.now += 2.0
        place.leave()
    admission.enter("m", "batch")
    for _ in range(20):
        assert admission.queue("m", lambda place: None)
    with pytest.raises(Overloaded) as refused:
        admission.enter("m", "batch")
    assert 40 <= refused.value.retry_after_s <= 55
    clock.now += 61
    for _ in range(5):
        with pytest.raises(Overloaded) as later:
            admission.enter("m", "batch")
    assert later.value.retry_after_s == LONGEST_RETRY_S["batch"]
