"""What others published on the public sets, and the measure it was published in, so that ours stands beside it."""

from dataclasses import dataclass

from ir_measures import Success, nDCG
from ir_measures.measures import Measure


@dataclass(frozen=True, slots=True)
class Published:
    """The best figure known: `value` by `measure`, with binary relevance; `system` and `source` say whose it is.

    `otherwise` tells in what its setting differs from the set's.
    """

    measure: Measure
    value: float
    system: str
    source: str
    otherwise: str


PUBLISHED = {
    "cranfield": Published(
        nDCG @ 20,
        0.567,
        "BERT base, 110 M parameters, trained on the set's own judgements",
        "Ghasemi and Hiemstra, BERT meets Cranfield, EACL SRW 2021 (its BM25: .471)",
        "five folds of the questions, one of them held out at a time",
    ),
    "ray_docs": Published(
        Success @ 7,
        0.689,
        "gte-large, 335 M parameters (gte-base, 110 M: .598; gte-large trained on these pages, 13 passages: .791)",
        "ray-project/llm-applications, experiments/evaluations, 2023",
        "the right page among 7 passages, not among 7 pages; 177 questions, and the pages of 2023",
    ),
}
"""By the set's name. Of SQuAD's development set only the retrieval of single sentences was found published (ReQA)."""
