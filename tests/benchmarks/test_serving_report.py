"""The benchmark's statistics and tables, on answers made up here."""

from dataclasses import replace

import pytest

from benchmarks.serving import summarised
from benchmarks.serving_load import Answer, Load
from benchmarks.serving_report import Row, comparison, equality, medians, parts, per_token, spread, summarise, table

GOOD = Answer(0, "a b", 0.010, 0.110, 0.120, 5, 300, 51, {}, {}, "")
BAD = replace(GOOD, text="", error="HTTP 429")


def row(server: str = "vllm-same", answers: tuple[Answer, ...] = (GOOD,), seconds: float = 0.5) -> Row:
    return summarise(server, 8, [Load(answers, seconds)], 0.1, {0: "a b"})


def test_spread_is_median_and_95th_percentile_in_milliseconds() -> None:
    found = spread([n / 1000 for n in range(101)])
    assert (found.p50, found.p95) == pytest.approx((50, 95))


def test_time_per_token_leaves_the_first_token_out() -> None:
    found = per_token([GOOD])
    assert found is not None
    assert found.p50 == pytest.approx(2.0)


def test_answers_in_one_piece_have_no_time_per_token() -> None:
    assert per_token([replace(GOOD, steps=1)]) is None


def test_rates_count_whole_answers_only_and_times_leave_the_others_out() -> None:
    found = row(answers=(GOOD, replace(GOOD, first=0.03), replace(BAD, first=9.0)))
    assert (found.requests, found.errors, found.failures) == (3, 1, ("HTTP 429",))
    assert found.requests_per_s == pytest.approx(4)
    assert found.tokens_per_s == pytest.approx(204)
    assert found.ttft.p50 == pytest.approx(20)
    assert found.cpu_ms == pytest.approx(100 / 3)


def test_rounds_are_pooled_and_each_ones_rate_is_kept() -> None:
    found = summarise("vllm", 1, [Load((GOOD,), 1.0), Load((GOOD, GOOD), 1.0)], 0.3, {})
    assert found.requests_per_s == pytest.approx(1.5)
    assert found.rounds == pytest.approx((1.0, 2.0))
    assert found.same is None
    assert "0.0%" not in equality([found])


def test_answers_are_compared_with_the_expected_ones() -> None:
    assert row(answers=(GOOD, replace(GOOD, text="other"))).same == 0.5
    assert row(answers=(GOOD, replace(GOOD, case=7, text="unknown"))).same == 1


def test_a_server_that_only_fails_is_an_error_that_says_why() -> None:
    with pytest.raises(ValueError, match="HTTP 429"):
        row(answers=(BAD,))


def test_what_lies_outside_of_the_engine_is_the_rest_of_the_answer() -> None:
    engine = {"queue_time_ms": 1.0, "time_to_first_token_ms": 9.0, "generation_time_ms": 90.0, "mean_itl_ms": 2.0}
    found = row(answers=(replace(GOOD, engine=engine),)).engine
    assert found == pytest.approx({"queue": 1, "prefill": 9, "decode": 90, "outside": 20})


def test_http_is_what_the_client_waited_beyond_the_servers_first_text() -> None:
    assert row(answers=(replace(GOOD, timings={"embed": 2.0, "ttft": 7.0}),)).stages == {
        "embed": 2.0,
        "ttft": 7.0,
        "http": pytest.approx(3),
    }


def test_medians_are_over_those_that_have_the_key() -> None:
    assert medians([{"a": 1.0}, {"a": 3.0, "b": 5.0}]) == {"a": 2.0, "b": 5.0}
    assert medians([]) == {}


def test_a_table_is_aligned_markdown() -> None:
    assert table(["name", "n"], [["a", "10"], ["long one", "2"]]).splitlines() == [
        "| name     |  n |",
        "|----------|---:|",
        "| a        | 10 |",
        "| long one |  2 |",
    ]


def test_the_comparison_holds_the_ratios_to_both_references() -> None:
    rows = [row("vllm-same"), row("serve-llm-tuned", seconds=1.0), row("raglan", (replace(GOOD, first=0.02),), 2.0)]
    text = comparison(rows, "vllm-same", "serve-llm-tuned")
    head, _, *lines = (line.strip("| ").split("|") for line in text.splitlines())
    assert [cell.strip() for cell in head[-4:]] == [
        "TTFT / vllm-same",
        "req/s / vllm-same",
        "TTFT / serve-llm-tuned",
        "req/s / serve-llm-tuned",
    ]
    assert [float(cell) for cell in lines[2][-4:]] == [2.0, 0.25, 2.0, 0.5]


def test_a_missing_reference_has_no_columns() -> None:
    assert " / " not in comparison([row("raglan")], "vllm-same", "serve-llm-tuned").split("errors")[1]


def test_parts_show_a_dash_where_a_server_has_none_and_nothing_without_any() -> None:
    one, other = row("raglan-bare"), row("raglan")
    rows = [replace(one, stages={"ttft": 1.0}), replace(other, stages={"guard": 2.0, "ttft": 3.0})]
    lines = parts(rows, lambda r: r.stages).splitlines()
    assert [cell.strip() for cell in lines[2].strip("|").split("|")] == ["raglan-bare, 8 concurrent", "1.0", "-"]
    assert parts([one], lambda r: r.stages) == ""


def test_equality_tells_tokens_and_failures() -> None:
    text = equality([row(answers=(GOOD, BAD))])
    assert "300.0" in text
    assert "100.0%" in text
    assert "HTTP 429" in text
    assert "nan" not in text


def test_the_baselines_first_answers_are_what_all_are_compared_with() -> None:
    first, later = Load((BAD, GOOD), 1.0), Load((replace(GOOD, text="later"),), 1.0)
    measured = {("vllm-same", 1): [(first, 0.1)], ("vllm-same", 8): [(later, 0.1)], ("raglan", 1): [(first, 0.1)]}
    assert [(r.server, r.concurrency, r.same) for r in summarised(measured)] == [
        ("vllm-same", 1, 1.0),
        ("vllm-same", 8, 0.0),
        ("raglan", 1, 1.0),
    ]
    assert {r.same for r in summarised({("raglan", 1): [(first, 0.1)]})} == {None}
