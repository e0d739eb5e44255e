"""What a passage owes to its document: a page that speaks of the question throughout beats one lucky passage."""

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
    values = scores.tolist()
    worst = min(values)
    above: dict[str, float] = {}
    counted: dict[str, int] = {}
    for score, document in sorted(zip(values, documents, strict=True), reverse=True):
        found = counted.get(document, 0)
        if found < BEST:
            counted[document] = found + 1
            above[document] = above.get(document, 0.0) + score - worst
    places = zip(documents, sizes, strict=True)
    return np.array([worst + above[name] / max(counted[name], min(BEST, size)) for name, size in places])


def standard(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """The scores in their own standard deviations from their mean."""
    return np.asarray((scores - scores.mean()) / (scores.std() + 1e-9))
