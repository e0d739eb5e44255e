"""Instructions to the model that hide in retrieved passages: each sentence is scored, the worst one is the passage's.

Two things give a planted sentence away: it asks somebody to do something, and it is not about the passage's matter.
A manual's "Run the following command" asks too, but amid sentences on the same matter.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from guardrails.check import Embed
from guardrails.linear import load
from guardrails.normalise import normalise
from rag.types import Vector

MAX_EMBEDDED = 6
"""Sentences of one passage that are embedded: those whose words are the most like an instruction."""
SUSPICIOUS = -4.0
"""The logit that the words alone must give a sentence for it to be embedded."""
MAX_SENTENCE = 400
MIN_WORDS = 3
MIN_CELL_WORDS = 4
"""Words in lower case that a table cell must have to be read: names and titles, often imperatives, have fewer."""
MIN_CAPITALS = 6
"""Words that a cell all in capitals must have instead."""
MIN_TITLED, MIN_FUNCTION = 10, 3
"""Words and function words that a cell In Title Case must have instead: titles are shorter, names have none."""
LINE = re.compile(r"\n\s*\n|\n(?![a-z])")
"""Where a line ends: a line that begins in lower case goes on with the one before."""
BREAK = re.compile(r"(?<=[.!?。！？])[\"')\]]*\s+")
ROW = re.compile(r"\s*\|.*\||[^|\n]*\|[^|\n]*\|")
CELL = re.compile(r"\s*\|\s*")
MARKERS = re.compile(r"^[\s>#*+\-|•\d.)]+")
WORD = re.compile(r"\w{2,}")
LOWER = re.compile(r"\b[a-z]{2,}")
LETTERS = re.compile(r"[^\W\d_]{2,}")
FUNCTION = re.compile(
    r"(?i)\b(?:an|and|any|all|are|as|at|be|but|by|do|for|from|if|in|is|it|me|must|my|not|of|on|only|or|so|that|the|this"
    r"|to|will|with|you|your)\b"
)


@dataclass(frozen=True, slots=True)
class Scored:
    """A passage's score in [0, 1], where 0.5 is the recommended threshold, and its worst sentence."""

    score: float
    sentence: str = ""


def sentences(text: str) -> list[str]:
    """The sentences, lines and longer table cells of a passage, normalised, without list markers; code is text."""
    out = list[str]()
    for line in LINE.split(text):
        row = bool(ROW.match(line))
        for part in (CELL if row else BREAK).split(line):
            sentence = MARKERS.sub("", normalise(part))
            pieces = [sentence[begin : begin + MAX_SENTENCE] for begin in range(0, len(sentence), MAX_SENTENCE)]
            out += [piece for piece in pieces if asks(piece, row)]
    return out


def asks(piece: str, row: bool) -> bool:
    """Whether a piece of a line, or of a table's row, has words enough to ask for something."""
    if not row:
        return len(WORD.findall(piece)) >= MIN_WORDS
    if len(LOWER.findall(piece)) >= MIN_CELL_WORDS:
        return True
    words = len(LETTERS.findall(piece))
    titled = words >= MIN_TITLED and len(FUNCTION.findall(piece)) >= MIN_FUNCTION
    return titled or (words >= MIN_CAPITALS and piece.isupper())


class PassageScanner:
    """The trained heads. Where vectors are not the `bundled` embedding model's, words judge alone."""

    def __init__(self, bundled: bool = True) -> None:
        self.bundled = bundled
        heads = load("passages")
        self.words, self.head = heads["words"], heads["passage"]

    def scan(self, texts: Sequence[str], embed: Embed, vectors: Vector | None = None) -> list[Scored]:
        """Score passages; `vectors` are their own (n, d), where they are known: else they are embedded if need be.

        `embed` is called at most once. Most passages need it for no sentence, none for more than MAX_EMBEDDED.
        """
        suspects = [(n, text, weight) for n, passage in enumerate(texts) for text, weight in self.suspects(passage)]
        if not suspects:
            return [Scored(0.0)] * len(texts)
        owners = [n for n, _, _ in suspects]
        planted = [text for _, text, _ in suspects]
        if not self.bundled:
            scores = self.words.score(np.zeros((len(suspects), 0), np.float32), np.array([w for *_, w in suspects]))
            return worst(len(texts), owners, planted, scores)
        known = sorted(set(owners))
        made = embed([*planted, *([] if vectors is not None else (texts[n] for n in known))])
        own = made[: len(planted)]
        whole = vectors if vectors is not None else dict(zip(known, made[len(planted) :], strict=True))
        near = np.array([own[i] @ whole[n] for i, n in enumerate(owners)], np.float32)
        lexical = self.head.lexical_each(planted)
        return worst(len(texts), owners, planted, self.head.score(np.column_stack([own, near]), lexical))

    def suspects(self, passage: str) -> list[tuple[str, float]]:
        """The sentences of a passage whose words may ask for something, worst first, and what their words add up to."""
        found = sentences(passage)
        weights = self.words.lexical_each(found).tolist()
        suspicious = [pair for pair in zip(found, weights, strict=True) if pair[1] + self.words.bias > SUSPICIOUS]
        return sorted(suspicious, key=lambda pair: -pair[1])[:MAX_EMBEDDED]


def worst(passages: int, owners: Sequence[int], sentences: Sequence[str], scores: Iterable[float]) -> list[Scored]:
    """The greatest score of each of so many passages, given that of each sentence and the passage that it stands in."""
    out = [Scored(0.0)] * passages
    for owner, sentence, score in zip(owners, sentences, scores, strict=True):
        if score > out[owner].score:
            out[owner] = Scored(float(score), sentence)
    return out
