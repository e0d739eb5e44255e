"""What a passage owes to its document: a page that speaks of the question throughout beats one lucky passage."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BEST = 5
"""Passages of a document that speak for it."""


def document_scores(scores: NDArray[np.float64], documents: Sequence[str], sizes: Sequence[int]) -> NDArray[np.float64]:
    """For each found passage, the mean score of its document's `BEST` passages; those not found count as the worst.

    `scores`, `documents` and `sizes` (passages of the whole document) are parallel, one entry a found passage. A
    document of one passage keeps its score. Interpolating passage and document evidence is Callan's (SIGIR 1994);
    with equal weights nDCG@10 on pages of the Ray documentation rose from .517 to .584, on Cranfield, whose documents
    have one or two passages, from .559 to .564, and on SQuAD it fell from .872 to .866, before reranking.
    """
    if not len(scores):
        return scores
    found: dict[str, list[float]] = defaultdict(list)
    for document, score in zip(documents, scores.tolist(), strict=True):
        found[document].append(score)
    size = dict(zip(documents, sizes, strict=True))
    worst = float(scores.min())
    means = {}
    for document, values in found.items():
        counted = max(1, min(BEST, max(size[document], len(values))))
        best = sorted(values, reverse=True)[:counted]
        means[document] = (sum(best) + worst * (counted - len(best))) / counted
    return np.array([means[document] for document in documents])


def standard(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores in their own standard deviations from their mean."""
    return np.asarray((scores - scores.mean()) / (scores.std() + 1e-9))
