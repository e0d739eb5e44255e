"""The command on a small folder, and the gate: the handbook suite, for real, against the committed figures."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import retrieval_stages
from benchmarks.retrieval import configured, main, parser
from benchmarks.retrieval_report import MEASURES, fallen, figures, table
from benchmarks.retrieval_sets import ROOT, QuestionSet, handbook
from benchmarks.retrieval_stages import KEPT, STAGES, EvalConfig, run
from rag.chunk import ChunkConfig
from rag.errors import InvalidInput
from rag.scope import Scope
from rag.sparse import SparseVector
from rag.store import FakeStore, Scores
from rag.types import Document, Vector

BASELINE = ROOT / "benchmarks" / "handbook_baseline.json"
TWINS = "The autoscaler adds a replica after half a minute of high load."
CORPUS = {"one": TWINS, "two": TWINS, "empty": "", "fruit": "Bananas are yellow and rich in potassium."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "tiny"
    (data / "qrels").mkdir(parents=True)
    lines = [json.dumps({"_id": key, "title": "", "text": text}) for key, text in CORPUS.items()]
    (data / "corpus.jsonl").write_text("\n".join(lines))
    (data / "queries.jsonl").write_text(
        '{"_id": "q", "text": "When is a replica added?"}\n{"_id": "u", "text": "Why?"}'
    )
    (data / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\tone\t1\nq\ttwo\t1\n")
    return data


def test_twins_are_both_found_and_an_empty_document_breaks_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("benchmarks.retrieval.CACHE", folder / "vectors")
    out = folder / "out" / "figures.json"
    assert main(["--data", str(folder), "--out", str(out)]) == 0
    found = json.loads(out.read_text())
    assert list(found["stages"]) == list(STAGES)
    for values in found["stages"].values():
        assert set(values) == {*MEASURES, "p50_ms", "p95_ms"}
        assert values["R@10"] == values["nDCG@10"] == 1.0
    assert out.with_suffix(".png").exists()
    assert len(list((folder / "vectors").glob("*.npy"))) == 1
    assert main(["--data-root", str(folder.parent), "--dense-weight", "0.3"]) == 0
    assert len(list((folder / "vectors").glob("*.npy"))) == 1
    assert "| tiny | 1 | 1.000 | 1.000 | 1.000 | 1.000 |  |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--data", "/nowhere"], "error: /nowhere/corpus.jsonl: "),
        (["--data-root", "/nowhere"], "error: /nowhere: no folder in it holds a corpus.jsonl"),
        (["--suite", "handbook", "--profile", "/nowhere.yaml"], "error: /nowhere.yaml: "),
        (["--suite", "handbook", "--dense-weight", "7"], "error: retrieve.dense_weight: "),
        (["--suite", "handbook", "--depth", "3"], "error: depth: "),
    ],
)
def test_what_cannot_be_used_is_one_line(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    shown = capsys.readouterr().err.strip()
    assert shown.startswith(told)
    assert "\n" not in shown


def test_the_command_line_wins_over_the_profile() -> None:
    chosen = configured(parser().parse_args(["--suite", "handbook", "--rerank-weight", "0.25", "--candidates", "9"]))
    assert (chosen.retrieve.rerank_weight, chosen.retrieve.candidates) == (0.25, 9)


def test_a_profile_without_an_application_is_named(tmp_path: Path) -> None:
    path = tmp_path / "empty.yaml"
    path.write_text("applications: []")
    with pytest.raises(InvalidInput, match=r"empty.yaml"):
        EvalConfig.load(path)


async def test_a_long_document_leaves_room_for_ten() -> None:
    long = "\n\n".join(f"# Part {n}\n\nReplica number {n} is added under load." for n in range(60))
    others = [Document(f"short-{n}", f"A replica was added on day {n}.") for n in range(12)]
    made = QuestionSet("made", (Document("long", long), *others), {"q": "When is a replica added?"}, {"q": {"long": 1}})
    found = await run(made, EvalConfig(chunk=ChunkConfig(max_tokens=32), depth=10), None)
    assert found.passages > 70
    held = {stage: len(ranked["q"]) for stage, ranked in found.ranked.items()}
    assert held == {"sparse": 13, "dense": 13, "fused": 10, "reranked": 10}


class CountingStore(FakeStore):
    """Counts its searches, and keeps what the last question's sides held at most."""

    searches = 0
    sides: tuple[Scores, Scores] = ({}, {})

    async def search(self, vector: Vector, sparse: SparseVector, limit: int, scope: Scope) -> tuple[Scores, Scores]:
        self.searches += 1
        self.sides = await super().search(vector, sparse, 1_000, scope)
        return await super().search(vector, sparse, limit, scope)

    async def close(self) -> None:
        """What was written is looked at later."""


async def test_a_side_is_ranked_alone_and_one_search_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    store = CountingStore()
    monkeypatch.setattr(retrieval_stages, "open_store", lambda *_: store)
    clock = SimpleNamespace(perf_counter=lambda: store.searches / 1e3)
    monkeypatch.setattr(retrieval_stages, "time", clock)
    long = "\n\n".join(f"# Part {n}\n\nReplica {n} is added." for n in range(120))
    lucky = "\n\n".join(["# Added\n\nA replica added, added, added.", *(f"# Fruit\n\nBanana {n}." for n in range(9))])
    day = "It rained, and on the evening of day {} a replica was added to the others."
    others = [Document(f"short-{n}", day.format(n)) for n in range(12)]
    documents = (Document("long", long), Document("lucky", lucky), *others)
    made = QuestionSet("made", documents, {"q": "When is a replica added?"}, {"q": {"long": 1}})
    found = await run(made, EvalConfig(chunk=ChunkConfig(max_tokens=32)), None)
    assert {stage: found.ms[stage] for stage in STAGES[:3]} == {stage: [1.0] for stage in STAGES[:3]}
    for stage, side in zip(("dense", "sparse"), store.sides, strict=True):
        alone = dict.fromkeys(passage.document_id for passage in await store.fetch(list(side)))
        assert found.ranked[stage]["q"] == list(alone)[:KEPT]


async def test_the_handbook_suite_is_no_worse_than_the_baseline(vector_cache: Path) -> None:
    """After a change for the better: `make eval SUITE=handbook OUT=benchmarks/handbook_baseline.json`."""
    questions = handbook()
    config = EvalConfig.load(ROOT / "cluster" / "local.yaml")
    found = figures(questions, await run(questions, config, vector_cache))
    assert fallen(found, json.loads(BASELINE.read_text())) == [], table(found)
