from dataclasses import replace
from pathlib import Path

import pytest

from guardrails import passage_scores
from guardrails.passage_rails import PassageRails
from guardrails.passage_scores import PassageScores, score_name
from guardrails.passages import PassageScanner
from guardrails.policy import Policy
from rag.chunk import ChunkConfig, chunk, embedded_text
from rag.scan import DEFAULT_SCANNER, SUSPICIOUS, as_read, find_scanner, scanned
from rag.types import Document, Hit, Passage, RequestSettings
from tests.guardrails.test_trained_checks import PAGE, PLANTED, Embedder

SETTINGS = RequestSettings(model="demo", prompt="quote")
PASSAGES = [Passage("a:0", "a", PAGE, "Coffee", headings=("Kitchen",)), Passage("b:0", "b", PLANTED, "Coffee")]


@pytest.fixture(scope="module")
def embed() -> Embedder:
    return Embedder()


@pytest.fixture
def stored(embed: Embedder) -> list[Hit]:
    """The passages as ingest stores them."""
    vectors = embed.model.encode([embedded_text(passage) for passage in PASSAGES])
    return [Hit(passage, 1.0) for passage in scanned(PASSAGES, vectors, PassageScores(embed, True))]


async def screened(hits: list[Hit], embed: Embedder | None, **checks: object) -> list[tuple[bool, float | None, str]]:
    settings = replace(SETTINGS, policy=Policy().changed({"passages": {"hidden": {"action": "off"}, **checks}}).text)
    verdicts = await PassageRails(embed).screen(hits, "?", settings)
    return [(v.allowed, v.checks[0].score, v.checks[0].detail) for v in verdicts]


async def test_the_score_that_was_stored_decides_and_nothing_is_embedded(stored: list[Hit], embed: Embedder) -> None:
    embed.calls.clear()
    (clean, low, where), (planted, high, _) = await screened(stored, embed)
    assert (clean, planted, embed.calls) == (True, False, [])
    assert (low or 0) < 0.5 <= (high or 0)
    assert where == "a:0: scored when stored"
    assert [allowed for allowed, *_ in await screened(stored, embed, instructions={"threshold": 1})] == [True, True]


async def test_it_is_the_score_of_the_question_time(stored: list[Hit], embed: Embedder) -> None:
    bare = [Hit(passage, 1.0) for passage in PASSAGES]
    then, now = await screened(stored, embed), await screened(bare, embed)
    assert [score for _, score, _ in then] == pytest.approx([score for _, score, _ in now], abs=0.05)
    assert [detail for *_, detail in now] == ["a:0", "b:0"]


async def test_the_score_of_another_classifier_does_not_count(
    stored: list[Hit], embed: Embedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    lying = [replace(hit, passage=replace(hit.passage, scores={score_name(True): 0.0})) for hit in stored]
    assert [allowed for allowed, *_ in await screened(lying, embed)] == [True, True]
    monkeypatch.setattr(passage_scores, "CUT", "another")
    score_name.cache_clear()
    try:
        assert [(allowed, detail) for allowed, _, detail in await screened(lying, embed)] == [
            (True, "a:0"),
            (False, "b:0"),
        ]
    finally:
        monkeypatch.undo()
        score_name.cache_clear()
    assert score_name(True) != score_name(False)
    assert [detail for *_, detail in await screened(lying, None)] == ["a:0", "b:0"]  # words alone judge: not its score


def test_it_is_what_ingest_scores_with_by_default() -> None:
    assert find_scanner(DEFAULT_SCANNER) is PassageScores


def test_no_passage_of_the_handbook_is_suspicious(embed: Embedder) -> None:
    pages = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
    documents = [Document(page.name, page.read_text(), page.stem) for page in pages]
    passages = [p for d in documents for p in chunk(d, ChunkConfig(), embed.model.count_tokens)]
    texts = [as_read(p.title, p.headings, p.text) for p in passages]
    found = PassageScanner().scan(texts, embed)
    assert len(found) > 400
    assert {p.id: one.sentence for p, one in zip(passages, found, strict=True) if one.score >= SUSPICIOUS} == {}
