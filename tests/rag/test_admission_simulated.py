"""Admission in a simulated queue: floods, outages and batch jobs, and what the admitted and the refused see."""

import math
from functools import cache

import pytest

from rag.admission import AdmissionConfig
from tests.rag.queue_model import Outcome, Queue

OFF = AdmissionConfig(enabled=False)


@cache
def calm_of(servers: int, seconds: float) -> Outcome:
    """What so many servers give at 0.8 times what they can take."""
    return Queue(servers, OFF).run(0.8, seconds)


@cache
def alone(load: float, ttft_s: float) -> Outcome:
    """What eight servers give at `load` where nothing is beside it."""
    return Queue(8, AdmissionConfig(ttft_s=ttft_s), 1).run(load, 300)


@pytest.mark.parametrize("servers", [4, 32])
def test_at_three_times_capacity_the_admitted_keep_their_time(servers: int) -> None:
    seconds = 4_800 / servers
    calm = calm_of(servers, 2 * seconds)
    in_time = AdmissionConfig(ttft_s=1.2 * calm.quantile(0.95))
    flood = Queue(servers, in_time).run(3.0, seconds)
    assert flood.quantile(0.95) <= 1.5 * calm.quantile(0.95)
    assert len(flood.ttft) >= 0.85 * 4_800
    assert len(flood.retry_after) >= 4_800


@pytest.mark.parametrize(("servers", "load"), [(4, 0.3), (8, 0.5), (32, 0.8)])
def test_an_outage_is_forgotten_soon_after_it(servers: int, load: float) -> None:
    refused = Queue(servers, AdmissionConfig(ttft_s=2.0), 1).with_outage(load, 200, 100.0, 130.0).refused_at
    assert sum(160 < at < 200 for at in refused) <= 0.05 * load * servers * 40


def test_without_forgetting_an_outage_is_held_against_those_who_come_later(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.line.OVER", math.inf)
    refused = Queue(8, AdmissionConfig(ttft_s=2.0), 1).with_outage(0.5, 200, 100.0, 130.0).refused_at
    assert sum(160 < at < 200 for at in refused) > 0.4 * 0.5 * 8 * 40


def test_without_admission_the_same_flood_ruins_everybodys_time() -> None:
    calm, flood = calm_of(8, 300), Queue(8, OFF).run(3.0, 120)
    assert flood.quantile(0.5) > 10 * calm.quantile(0.95)


def test_at_the_load_that_is_planned_for_few_are_refused() -> None:
    calm = calm_of(8, 300)
    kept = Queue(8, AdmissionConfig(ttft_s=1.5 * calm.quantile(0.95))).run(0.8, 300)
    assert len(kept.retry_after) <= 0.02 * len(kept.ttft)


def test_who_comes_back_when_told_mostly_comes_in() -> None:
    told = Queue(8, AdmissionConfig(ttft_s=2.0)).returning(10.0, 2)
    at_once = Queue(8, AdmissionConfig(ttft_s=2.0)).returning(10.0, 2, after_s=1)
    assert told.second_tries > 50
    assert told.refused_again <= 0.5 * told.second_tries
    assert at_once.refused_again > 0.9 * at_once.second_tries


@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("load", [0.2, 0.5, 0.8])
def test_a_batch_job_does_not_ruin_interactive_times_and_takes_the_room_that_is_left(
    load: float, ordered: bool
) -> None:
    config = AdmissionConfig(ttft_s=1.2 * calm_of(8, 300).quantile(0.95))
    beside = Queue(8, config, 1, ordered).beside_a_job(load, 300, workers=96)
    assert beside.quantile(0.95) <= config.ttft_s
    assert len(beside.retry_after) <= len(alone(load, config.ttft_s).retry_after) + 0.01 * len(beside.ttft)
    assert beside.batch_served / 300 / 8 >= 0.7 * (0.875 - load)


def test_without_admission_the_same_job_ruins_them() -> None:
    assert Queue(8, OFF, 1).beside_a_job(0.2, 300, workers=96).quantile(0.95) > 10


def test_a_batch_job_beside_too_many_interactive_requests_makes_few_of_them_late() -> None:
    config = AdmissionConfig(ttft_s=1.2 * calm_of(16, 150).quantile(0.95))
    beside = Queue(16, config, 1, ordered=True).beside_a_job(1.5, 150, workers=96)
    assert beside.quantile(0.95) <= 1.2 * config.ttft_s
