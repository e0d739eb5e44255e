import numpy as np
import pytest

from rag.document_scores import document_scores


def test_a_document_speaks_by_its_best_passages() -> None:
    scores = np.array([3.0, 2.0, 1.0, 3.0])
    assert document_scores(scores, ["a", "a", "b", "c"], [2, 2, 1, 1]) == pytest.approx([2.5, 2.5, 1.0, 3.0])


def test_what_was_not_found_of_a_document_counts_as_the_worst() -> None:
    scores = np.array([4.0, 1.0])
    assert document_scores(scores, ["long", "short"], [40, 1]) == pytest.approx([(4 + 4 * 1) / 5, 1.0])


def test_nothing_found_has_no_scores() -> None:
    assert document_scores(np.array([]), [], []).size == 0
