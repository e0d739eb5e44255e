"""The documents of the indexing benchmark, and one small run of the job itself."""

import json
import statistics
from pathlib import Path

import pytest

from benchmarks.indexing import SECTIONS, TOKENS, main, write
from rag.chunk import ChunkConfig, chunk, embedded_text
from rag.duplicates import Duplicates, signature
from rag.embed import EmbedConfig, TokenCounter
from rag.types import Document


def test_a_section_is_a_passage_of_about_the_tokens_and_none_repeats_another(tmp_path: Path) -> None:
    write(tmp_path / "one", 30)
    write(tmp_path / "same", 30)
    texts = [path.read_text() for path in sorted((tmp_path / "one").iterdir())]
    assert texts == [path.read_text() for path in sorted((tmp_path / "same").iterdir())]
    count = TokenCounter(EmbedConfig())
    pages = [Document(f"{n}", text, text.partition("\n")[0].removeprefix("# ")) for n, text in enumerate(texts)]
    cut = [chunk(page, ChunkConfig(), count) for page in pages]
    assert {len(passages) for passages in cut} == {SECTIONS}
    passages = [passage for part in cut for passage in part]
    tokens = [count(embedded_text(passage)) for passage in passages]
    assert TOKENS - 5 <= min(tokens) <= statistics.mean(tokens) <= TOKENS + 5
    seen = Duplicates()
    assert all(seen.earlier(n, (), signature(passage.text)) is None for n, passage in enumerate(passages))


def test_the_job_is_run_and_its_figures_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "figures.json"
    assert main(["--documents", "2", "--runs", "1", "--unchanged", "3", "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["passages"] == 2 * SECTIONS
    assert found["total_s"] == pytest.approx(found["start_s"] + found["rows_s"] + found["load_s"], abs=0.02)
    assert min(found["start_s"], found["rows_s"], found["load_s"], found["unchanged_s"], found["cpu_s"]) > 0
    assert found["passages_per_s_after_start"] > found["passages_per_s"] > 0
    told = capsys.readouterr().out
    assert all(name in told for name in found)


def test_a_job_that_fails_ends_the_benchmark_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="there is no scanner 'nothing:here'"):
        main(["--documents", "1", "--runs", "1", "--scanner", "nothing:here"])
