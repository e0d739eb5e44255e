"""What vLLM's figures come to."""

import pytest
from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import SchedulerStats

from deployments.engine_load import MOST, Figures, Listener, ScalingConfig

CONFIG = ScalingConfig(waiting=4, kv_cache=0.8)


@pytest.mark.parametrize(
    ("figures", "load"),
    [
        (Figures(), 0),
        (Figures(running=200, waiting=4, kv_cache=0.4), 0.5),
        (Figures(running=200, waiting=0, kv_cache=1.0), 1.25),
        (Figures(running=10, waiting=6, kv_cache=0.4), 1.5),
        (Figures(running=1, waiting=500, kv_cache=0.1), MOST),
    ],
)
def test_a_queue_over_its_limit_or_the_kv_cache_makes_the_load(figures: Figures, load: float) -> None:
    assert figures.load(CONFIG) == pytest.approx(load)


def stats(running: int, waiting: int, skipped: int, kv: float) -> SchedulerStats:
    return SchedulerStats(
        num_running_reqs=running, num_waiting_reqs=waiting, num_skipped_waiting_reqs=skipped, kv_cache_usage=kv
    )


def test_the_last_word_of_each_core_counts() -> None:
    listener = Listener()
    assert listener.figures() == Figures()
    listener.record(stats(9, 9, 9, 0.9), None)
    listener.record(stats(3, 1, 1, 0.5), None, mm_cache_stats=None, engine_idx=0)
    listener.record(None, None, mm_cache_stats=None, engine_idx=0)
    listener.record(stats(2, 1, 0, 0.7), None, mm_cache_stats=None, engine_idx=1)
    assert listener.figures() == Figures(5, 3, 0.7)


def test_it_plays_the_whole_role_of_a_stat_logger() -> None:
    role = {name for name in vars(StatLoggerBase) if not name.startswith("_")}
    assert role <= {name for name in dir(Listener) if not name.startswith("_")}
