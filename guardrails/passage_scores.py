"""The scores that passages are stored with: those of the check `instructions`, under the name of what gave them."""

import hashlib
from collections.abc import Sequence
from functools import cache

from guardrails.check import Embed
from guardrails.linear import WEIGHTS
from guardrails.passages import PassageScanner
from rag.types import Vector

CUT = "2"
"""Changes when the same weights would give a passage another score, because its sentences are found otherwise."""


class PassageScores:
    """Role `Scanner` of rag/stages.py. `embed` makes the vectors of the `bundled` embedding model, or of another."""

    def __init__(self, embed: Embed, bundled: bool) -> None:
        self.embed = embed
        self.scanner = PassageScanner(bundled)
        self.name = score_name(bundled)

    def scan(self, texts: Sequence[str], vectors: Vector) -> list[float]:
        """Scores in [0, 1], where 0.5 is the recommended threshold; `vectors` (n, d) are the passages' own."""
        return [found.score for found in self.scanner.scan(texts, self.embed, vectors)]


@cache
def score_name(bundled: bool) -> str:
    """The name of the scores that this classifier gives: any other weights have another, and so have words alone."""
    digest = hashlib.sha256((WEIGHTS / "passages.npz").read_bytes()).hexdigest()[:12]
    return f"instructions-{CUT}-{digest}" + ("" if bundled else "-words")
