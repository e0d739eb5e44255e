import pytest

from guardrails.grounded import MIN_WORDS, groundedness

PASSAGES = [
    "Replicas scale on ongoing requests. Each replica takes at most 8 requests at a time.",
    "The guard does not call a model. The index is stored on disk under 12,000 files.",
]


@pytest.mark.parametrize(
    "sentence",
    [
        "Each replica takes at most 8 requests at a time. [1]",
        "Replicas are scaled by their ongoing requests.",
        "The guard doesn't call a model.",
        "The index is stored in 12000 files on disk.",
    ],
)
def test_what_the_passages_say_scores_high(sentence: str) -> None:
    judged = groundedness(sentence, PASSAGES)
    assert judged is not None
    assert judged[0] >= 0.75


@pytest.mark.parametrize(
    ("sentence", "missing"),
    [
        ("Each replica takes at most 9 requests at a time.", "number"),
        ("The guard does call a model.", "negation"),
        ("Replicas never scale on ongoing requests.", "negation"),
        ("Bananas grow best in tropical climates.", ""),
    ],
)
def test_what_they_do_not_say_scores_low(sentence: str, missing: str) -> None:
    judged = groundedness(sentence, PASSAGES)
    assert judged is not None
    assert judged[0] <= 0.5
    assert judged[1] == missing


@pytest.mark.parametrize("sentence", ["Yes.", "Here it is: [1]", "The passages do not say how bananas grow.", ""])
def test_what_claims_nothing_has_no_score(sentence: str) -> None:
    assert MIN_WORDS == 3
    assert groundedness(sentence, PASSAGES) is None


def test_without_passages_nothing_is_supported() -> None:
    assert groundedness("Replicas scale on ongoing requests.", []) == (0.0, "")
