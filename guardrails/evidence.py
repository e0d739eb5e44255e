"""What passages share with a claim, in words alone: each figure is from 0 (nothing) to 1 (all of it)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from guardrails.claims import SELF, Claim, read
from rag.sentences import sentences

FIGURES = ("words", "near", "missing", "numbers", "names", "sign", "impersonal", "told")
SAME_SUBJECT = 0.6
"""Share of a claim's words that a sentence of a passage must hold for their negations to be comparable."""
RUN = 3
"""Words in a row that make a stretch of a claim a quotation."""
MAX_SENTENCES = 400
"""Sentences of a passage that are looked at one by one; its words all count."""
Runs = frozenset[tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage as it is compared: its words, its runs of `RUN` words, its numbers and its sentences."""

    words: frozenset[str]
    runs: Runs
    numbers: frozenset[str]
    sentences: tuple[Claim, ...]


@lru_cache(maxsize=512)
def evidence(text: str) -> Evidence:
    """Read a passage once: the sentences of an answer share their passages."""
    whole = read(text)
    parts = tuple(read(text[span.start : span.end]) for span in sentences(text)[:MAX_SENTENCES])
    return Evidence(frozenset(whole.stems), frozenset(runs(whole)), whole.numbers, parts)


def runs(claim: Claim) -> list[tuple[str, ...]]:
    """Every `RUN` words in a row."""
    return [claim.stems[n : n + RUN] for n in range(len(claim.stems) - RUN + 1)]


def quoted(claim: Claim, known: Sequence[Evidence]) -> bool:
    """Whether the claim stands word for word, by stems, in one of the passages."""
    own = frozenset(runs(claim))
    return bool(own) and any(own <= e.runs for e in known)


def share(claim: Claim, held: frozenset[str]) -> float:
    """Share of the claim's content, by letters, that is in `held`."""
    total = sum(claim.weights)
    return sum(w for s, w in zip(claim.stems, claim.weights, strict=True) if s in held) / total if total else 0.0


def closest(claim: Claim, known: Sequence[Evidence], count: int) -> list[Claim]:
    """The `count` sentences of the passages that hold most of the claim's content, best first."""
    found = [sentence for e in known for sentence in e.sentences]
    return sorted(found, key=lambda s: (-len(claim.content & s.content), len(s.stems)))[:count]


def shared(claim: Claim, known: Sequence[Evidence], near: Claim | None) -> dict[str, float]:
    """The `FIGURES` of `claim` against `known`, whose closest sentence is `near`.

    `words` and `near` are shares of its words in all passages and of its content in that sentence; `missing` falls
    with the number of content words that no passage has. The others are 1 unless something speaks against the claim: a
    number or name that no passage has, a negation, a speaker's "I", a question.
    """
    words = frozenset[str]().union(*(e.words for e in known))
    numbers = frozenset[str]().union(*(e.numbers for e in known))
    return {
        "words": sum(s in words for s in claim.stems) / max(len(claim.stems), 1),
        "near": share(claim, frozenset(near.stems)) if near else 0.0,
        "missing": 1 / (1 + math.log1p(len(claim.content - words))),
        "numbers": float(claim.numbers <= numbers),
        "names": len(claim.names & words) / len(claim.names) if claim.names else 1.0,
        "sign": float(near is None or not differ(claim, near)),
        "impersonal": float(not claim.own or not SELF.isdisjoint(words)),
        "told": float("?" not in claim.text),
    }


def differ(claim: Claim, sentence: Claim) -> bool:
    """Whether one of two texts on the same subject negates a word that the other one asserts."""
    both = claim.content & sentence.content
    return len(both) >= SAME_SUBJECT * len(claim.content) and not both.isdisjoint(claim.negated ^ sentence.negated)
