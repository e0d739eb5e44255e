"""BM25 vectors: identifiers whole and in parts, stems, saturation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.sparse import AVERAGE_LENGTH, K1, document_vector, query_vector, terms


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The replicas are scaling.", ["replica", "scale"]),
        ("max_ongoing_requests", ["max_ongoing_requests", "max", "ongo", "request"]),
        ("LLMServer", ["llmserver", "llm", "server"]),
        ("serve.run", ["serve.run", "serv", "run"]),
        ("HTTP 429", ["http", "429"]),
        ("what is it", []),
        ("", []),
        ("🚀 自動", ["自動"]),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_a_question_finds_an_identifier_in_any_spelling() -> None:
    document = set(document_vector("Set `maxOngoingRequests` and max_ongoing_requests.").indices)
    for question in ("max_ongoing_requests", "maxOngoingRequests", "max ongoing requests", "MAX_ONGOING_REQUESTS"):
        assert document & set(query_vector(question).indices)


def test_saturation_rises_with_count_and_falls_with_length() -> None:
    once, twice = document_vector("apple"), document_vector("apple apple")
    assert once.values[0] < twice.values[0] < K1 + 1
    diluted = document_vector("apple " + " ".join(f"word{n}" for n in range(300)))
    assert diluted.values[diluted.indices.index(once.indices[0])] < once.values[0]
    assert AVERAGE_LENGTH > 0


@given(st.text(max_size=300))
def test_vectors_are_well_formed_for_any_text(text: str) -> None:
    document, query = document_vector(text), query_vector(text)
    assert set(document.indices) == set(query.indices)
    for vector in (document, query):
        assert len(set(vector.indices)) == len(vector.indices) == len(vector.values)
        assert all(0 <= index < 2**32 for index in vector.indices)
        assert all(0 < value < K1 + 1 for value in vector.values)
