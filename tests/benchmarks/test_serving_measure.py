"""In which order the servers are loaded, and at which rate."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import serving_measure
from benchmarks.serving_load import Answer, Load
from benchmarks.serving_measure import OPEN_SHARE, Loads, measure, open_rate
from benchmarks.serving_report import OPEN, level, parts, summarise
from benchmarks.serving_servers import Bench

ANSWER = Answer(0, "a", 0.1, 0.2, 0.3, 2, 3, 4, {}, {"ttft": 90.0}, "")


def load(answers: int, seconds: float) -> Load:
    return Load((ANSWER,) * answers, seconds)


def test_the_open_loops_rate_is_a_share_of_the_most_that_was_carried() -> None:
    assert open_rate([(1, load(8, 4.0), 0.0), (8, load(64, 2.0), 0.0), (OPEN, load(99, 1.0), 0.0)]) == OPEN_SHARE * 32


@pytest.mark.parametrize(("given", "rates"), [(None, [None, 5.0, 5.0, 5.0]), (3.0, [3.0] * 4)])
def test_every_server_is_asked_at_the_first_ones_rate_and_every_other_round_goes_backwards(
    given: float | None, rates: list[float | None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, float | None]] = []

    def measured(bench: Bench, name: str, cases: Any, loads: Loads) -> list[tuple[int, Load, float]]:
        asked.append((name, loads.rate))
        return [(8, load(20, 1.0), 0.5), (OPEN, load(5, 1.0), 0.1)]

    monkeypatch.setattr(serving_measure, "measure_server", measured)
    bench = Bench(tmp_path, {}, {}, tmp_path, tmp_path, 64)
    found = measure(bench, [], ["vllm", "raglan"], Loads([8], 20, 2, given))
    assert asked == list(zip(["vllm", "raglan", "raglan", "vllm"], rates, strict=True))
    assert {key: len(loads) for key, loads in found.items()} == {
        (name, concurrency): 2 for name in ("vllm", "raglan") for concurrency in (8, OPEN)
    }


def test_a_load_at_a_rate_has_a_name() -> None:
    rows = [summarise("raglan", concurrency, [load(1, 1.0)], 0.1, {}) for concurrency in (8, OPEN)]
    assert [level(row.concurrency) for row in rows] == ["8 concurrent", "open loop"]
    assert "| raglan, open loop" in parts(rows, lambda row: row.stages)
