import hashlib
import json
from collections.abc import Sequence

import numpy as np
import pytest

from guardrails.aligned import RememberingEmbed
from guardrails.grounded import MIN_WORDS, WEIGHTS, groundedness, heads
from rag.types import TokenVectors

PASSAGES = [
    "Replicas scale on ongoing requests. Each replica takes at most 8 requests at a time.",
    "The guard does not call a model. The index is stored on disk under 12,000 files.\n"
    "The Retriever was written by Ada Lovelace,\nbut it was not tested on Windows.",
]


@pytest.mark.parametrize(
    "sentence",
    [
        "Each replica takes at most 8 requests at a time. [1]",
        "Each replica takes at most eight requests at a time.",
        "Replicas are scaled by their ongoing requests.",
        "The guard doesn't call a model.",
        "The index is stored in 12000 files on disk.",
        "The Retriever was written by Ada Lovelace.",
    ],
)
def test_what_the_passages_say_scores_high(sentence: str) -> None:
    judged = groundedness(sentence, PASSAGES)
    assert judged is not None
    assert judged[0] >= 0.75
    assert judged[1] == ""


@pytest.mark.parametrize(
    ("sentence", "missing"),
    [
        ("Each replica takes at most 9 requests at a time.", "number"),
        ("The guard does call a model.", "negation"),
        ("Replicas never scale on ongoing requests.", "negation"),
        ("The Retriever was tested on Windows.", "negation"),
        ("The Retriever was written by Grace Hopper.", "name"),
        ("Bananas grow best in tropical climates.", ""),
        ("I like how replicas handle bananas, don't you?", ""),
    ],
)
def test_what_they_do_not_say_scores_low(sentence: str, missing: str) -> None:
    judged = groundedness(sentence, PASSAGES)
    assert judged is not None
    assert judged[0] <= 0.5
    assert judged[1] == missing


@pytest.mark.parametrize(
    "sentence",
    [
        *("Yes.", "Here it is: [1]", "", "[1]", "Here: [1, 2] 【2】"),
        "The passages do not say how bananas grow.",
        "I'm sorry, but I could not find an answer in the documents.",
        "The documents I have been given don't answer this question.",
        "Sorry, I can't answer that question today.",
        "There is no information about bananas in the documents.",
    ],
)
def test_what_claims_nothing_has_no_score(sentence: str) -> None:
    assert MIN_WORDS == 3
    assert groundedness(sentence, PASSAGES) is None


@pytest.mark.parametrize(
    ("sentence", "missing"),
    [
        ("The warranty does not cover accidental damage. [1]", "negation"),
        ("The warranty does not cover accidental damage.", "negation"),
        ("The logs do not contain passwords.", "negation"),
        ("The system keeps no information about users.", "negation"),
        ("We do not cover accidental damage.", "negation"),
        ("You cannot find a cheaper plan; it costs 5 dollars.", "number"),
        ("I do not know, but the refund is 9,000 dollars.", "number"),
        ("Sorry, the refund is paid to Bob.", "name"),
    ],
)
def test_an_invented_negation_is_no_abstention(sentence: str, missing: str) -> None:
    passage = (
        "The warranty covers accidental damage. The logs contain passwords. The system keeps information about users."
    )
    judged = groundedness(
        sentence, [passage, "We cover accidental damage. The refund is paid in dollars to the customer."]
    )
    assert judged is not None
    assert judged[0] < 0.5
    assert judged[1] == missing


def test_a_short_sentence_is_only_judged_where_it_can_be() -> None:
    assert groundedness("Replicas scale.", PASSAGES) is not None
    assert groundedness("Bananas grow.", PASSAGES) is None
    judged = groundedness("It takes 9.", PASSAGES)
    assert judged is not None
    assert judged[0] < 0.5


@pytest.mark.parametrize(
    "quotation",
    [
        "The Retriever was written by Ada Lovelace, but it was not tested on Windows. [2]",
        "the guard does not call a model",
        "at most 8 requests at a time",
    ],
)
def test_a_quotation_scores_one_and_is_not_embedded(quotation: str) -> None:
    def never(texts: Sequence[str]) -> list[TokenVectors]:
        raise AssertionError(texts)

    assert groundedness(quotation, PASSAGES) == (1.0, "")
    assert groundedness(quotation, PASSAGES, never) == (1.0, "")


def test_without_passages_nothing_is_supported() -> None:
    assert groundedness("Replicas scale on ongoing requests.", []) == (0.0, "")


def by_letter(texts: Sequence[str]) -> list[TokenVectors]:
    """Each word as a random vector of its first letter: words that begin alike mean the same."""

    def vector(word: str) -> np.ndarray:
        seed = hashlib.sha256(word[:1].lower().encode()).digest()[0]
        drawn = np.random.default_rng(seed).normal(size=64)
        return (drawn / np.linalg.norm(drawn)).astype(np.float32)

    out = []
    for text in texts:
        spans, at = [], 0
        for word in text.split():
            begin = text.index(word, at)
            at = begin + len(word)
            spans.append((begin, at))
        vectors = np.array([vector(text[a:b]) for a, b in spans], np.float32).reshape(-1, 64)
        out.append(TokenVectors(vectors, np.array(spans, np.int32).reshape(-1, 2)))
    return out


def test_meaning_helps_a_paraphrase_and_faults_what_is_far() -> None:
    near = groundedness(
        "Replicas step on open requests today", ["Replicas scale on ongoing requests there."], by_letter
    )
    far = groundedness("Replicas quit when busy requests jam", ["Replicas scale on ongoing requests there."], by_letter)
    assert near is not None
    assert far is not None
    assert near[0] > far[0]


def test_a_passage_without_sentences_is_no_fault() -> None:
    code = "```\nraglan_serve --replicas two\n```"
    judged = groundedness("Run raglan_serve with replicas quickly.", [code], by_letter)
    assert judged is not None
    assert 0 <= judged[0] < 0.5


def test_remembered_texts_are_embedded_once() -> None:
    asked: list[list[str]] = []

    def embed(texts: Sequence[str]) -> list[TokenVectors]:
        asked.append(list(texts))
        return by_letter(texts)

    remembering = RememberingEmbed(embed, limit=2)
    assert len(remembering(["one two", "three"])) == 2
    assert len(remembering(["three", "four", "three"])) == 3
    assert asked == [["one two", "three"], ["four"]]
    assert sorted(remembering.kept) == ["four", "three"]
    assert remembering(["one two"])[0].spans.tolist() == [[0, 3], [4, 7]]


def test_the_weights_name_their_source_and_never_count_against_support() -> None:
    assert "BEGIN" in json.loads(WEIGHTS.read_text())["source"]
    for head in heads():
        assert all(weight >= 0 for weight in head.weights.values())
        assert head.score(dict.fromkeys(head.weights, 1.0)) == 1.0
        assert head.score(dict.fromkeys(head.weights, 0.0)) < 0.01


@pytest.mark.parametrize("hostile", ["a " * 50_000, "n't " * 20_000, "1,000 ," * 9_000, "not " * 20_000, "x" * 100_000])
def test_a_hostile_sentence_is_judged_in_bounded_time(hostile: str) -> None:
    groundedness(hostile, PASSAGES)
    groundedness("Replicas scale on ongoing requests.", [hostile])
