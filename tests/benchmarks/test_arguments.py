"""What cannot be measured ends the command at once, by the option's name."""

from collections.abc import Callable, Sequence

import pytest

from benchmarks import embedding, fleet, guard_live, indexing, pii, search_scale

Main = Callable[[Sequence[str]], int | None]


@pytest.mark.parametrize(
    ("main", "arguments", "told"),
    [
        (pii.main, ["--data", "/nonexistent"], "error: --data: no rows in a .jsonl file of /nonexistent"),
        (pii.main, ["--data", "/", "--clean", "/nonexistent"], "error: argument --clean: there is no /nonexistent"),
        (indexing.main, ["--runs", "0"], "error: argument --runs: '0' is no whole number of at least 1"),
        (indexing.main, ["--unchanged", "-1"], "error: argument --unchanged: '-1' is no whole number of at least 0"),
        (search_scale.main, ["--index", "{bad"], "error: argument --index: '{bad': Invalid JSON"),
        (search_scale.main, ["--index", '{"hnsw_m": 1}'], "error: argument --index: hnsw_m: Input should be greater"),
        (search_scale.main, ["--passages", "many"], "error: argument --passages: 'many' is no whole number"),
        (embedding.main, ["--corpus", "/nonexistent"], "error: argument --corpus: there is no /nonexistent"),
        (fleet.main, ["--days", "0"], "error: argument --days: '0' is no whole number of at least 1"),
        (guard_live.main, ["--rounds", "0"], "error: argument --rounds: '0' is no whole number of at least 1"),
    ],
)
def test_the_option_is_named(main: Main, arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
