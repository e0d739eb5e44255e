"""BEIR folders, good and bad, and the handbook's own questions."""

import json
from pathlib import Path

import pytest

from benchmarks.retrieval_sets import beir, handbook
from rag.errors import InvalidInput

CORPUS = [{"_id": "a", "title": "A", "text": "Replicas scale."}, {"_id": "b", "text": ""}]
QUERIES = [{"_id": "q1", "text": "scaling?"}, {"_id": "q2", "text": "nobody judged this"}]
QRELS = ["query-id\tcorpus-id\tscore", "q1\ta\t2", "q2\tb\t0"]


def written(folder: Path, corpus: str = "", queries: str = "", qrels: str = "") -> Path:
    """A BEIR folder, with other contents where given."""
    (folder / "qrels").mkdir()
    (folder / "corpus.jsonl").write_text(corpus or "\n".join(map(json.dumps, CORPUS)))
    (folder / "queries.jsonl").write_text(queries or "\n".join(map(json.dumps, QUERIES)) + "\n\n")
    (folder / "qrels" / "test.tsv").write_text(qrels or "\n".join(QRELS) + "\n")
    return folder


def test_empty_documents_stay_and_unjudged_questions_do_not_count(tmp_path: Path) -> None:
    found = beir(written(tmp_path))
    assert [(document.id, document.title, document.text) for document in found.documents] == [
        ("a", "A", "Replicas scale."),
        ("b", "", ""),
    ]
    assert found.relevant == {"q1": {"a": 2}}
    assert found.unanswerable == ()


@pytest.mark.parametrize(
    ("bad", "told"),
    [
        ({"corpus": '{"_id": "a", "text": "x"}\n{"_id": '}, "corpus.jsonl:2: not JSON"),
        ({"corpus": "[1]"}, "corpus.jsonl:1: not a JSON object"),
        ({"corpus": '{"text": "x"}'}, "corpus.jsonl:1: '_id' is missing"),
        ({"corpus": '{"_id": "a", "text": 3}'}, "corpus.jsonl:1: 'text' is not a text"),
        ({"corpus": '{"_id": "a", "text": ""}\n{"_id": "a", "text": ""}'}, "corpus.jsonl:2: the id 'a' stands twice"),
        ({"queries": '{"_id": "q1"}'}, "queries.jsonl:1: 'text' is missing"),
        ({"qrels": "h\th\th\nq1\ta"}, "test.tsv:2: not query-id"),
        ({"qrels": "h\th\th\nq1\ta\tmuch"}, "test.tsv:2: not query-id"),
        ({"qrels": "h\th\th\nq9\ta\t1"}, "test.tsv:2: no query 'q9'"),
        ({"qrels": "h\th\th\nq1\tz\t1"}, "test.tsv:2: no document 'z'"),
        ({"qrels": "h\th\th\nq1\ta\t0"}, "test.tsv: no query has a relevant document"),
    ],
)
def test_what_is_malformed_is_named_with_its_line(tmp_path: Path, bad: dict[str, str], told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        beir(written(tmp_path, **bad))
    assert told in str(caught.value)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (written(tmp_path) / name).unlink()
    with pytest.raises(InvalidInput, match=name):
        beir(tmp_path)


def test_limited_keeps_the_first_of_both_kinds() -> None:
    found = handbook().limited(3)
    assert (len(found.relevant), len(found.unanswerable)) == (3, 3)
    assert handbook().limited(0) == handbook()


def test_a_handbook_question_about_a_page_that_is_gone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "questions.jsonl"
    path.write_text('{"question": "why?", "pages": ["docs/gone.md"]}')
    with pytest.raises(InvalidInput, match=r"questions.jsonl:1: no page 'docs/gone.md'"):
        handbook(path)


def test_the_handbook_suite_is_as_large_as_promised_and_asks_about_the_whole_of_it() -> None:
    found = handbook()
    assert len(found.relevant) >= 90
    assert len(found.unanswerable) >= 30
    assert len(set(found.questions.values())) == len(found.questions) >= 120
    assert len({page for pages in found.relevant.values() for page in pages}) >= 25
