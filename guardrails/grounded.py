"""How well passages support a sentence, by words, numbers and negation: no model, well under a millisecond.

Words alone cannot see a changed number or a lost "not", and embeddings see them even less; so both weigh on their own.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from py_rust_stemmers import SnowballStemmer

MARKER = re.compile(r"\[\d{1,3}\]")
WORDS = re.compile(r"\w+(?:['’]\w+)?")
NUMBERS = re.compile(r"\d+(?:[.,]\d+)*")
NEGATION = re.compile(r"\b(?:not|no|never|none|nor|neither|cannot|without|unable|\w+n['’]t)\b", re.IGNORECASE)
SENTENCES = re.compile(r"(?<=[.!?])\s+|\n+")
ABSTAINS = re.compile(
    r"\b(?:(?:do|does|could|can)(?: not|n['’]t)|cannot|can['’]t)\b.{0,40}"
    r"\b(?:know|say|find|answer|contain|mention|cover)|\bno (?:information|answer|mention)\b|\bsorry\b",
    re.IGNORECASE,
)
"""Sentences that say an answer is missing: they rest on no passage."""
COMMON = """a about after again all also an and any are as at be because been before being between both but by can could
did do does doing each few for from further had has have having he her here hers him his how i if in into is it its
itself just may me might more most must my of off on once only or other our out over own same she should so some such
than that the their them then there these they this those through to too under until up use used uses using very was
we were what when where which while who whom why will with would you your"""
STOPWORDS = frozenset(COMMON.split())
MIN_WORDS = 3
"""Content words below which a sentence claims too little to be judged."""
WRONG_NUMBER = 0.5
WRONG_SIGN = 0.5
"""Factors for a number the passages lack and for a negation they do not share; set by hand, see tests/guardrails."""
SAME_SUBJECT = 0.6
"""Share of a sentence's words that a sentence of a passage must hold for their negations to be comparable."""

stemmer = SnowballStemmer("english")


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage as it is compared: its stems, its numbers, and each sentence's stems with whether it negates."""

    stems: frozenset[str]
    numbers: frozenset[str]
    sentences: tuple[tuple[frozenset[str], bool], ...]


def stems(text: str) -> frozenset[str]:
    """The stems of the content words of `text`."""
    words = (w for w in WORDS.findall(text.lower()) if w not in STOPWORDS)
    return frozenset(stemmer.stem_word(w) for w in words if not NEGATION.fullmatch(w))


def numbers(text: str) -> frozenset[str]:
    """The numbers in `text`, thousands separators dropped."""
    return frozenset(re.sub(r",(?=\d{3}\b)", "", n) for n in NUMBERS.findall(text))


@lru_cache(maxsize=512)
def evidence(text: str) -> Evidence:
    """Read a passage once: the sentences of an answer share their passages."""
    parts = SENTENCES.split(text)
    each = tuple((stems(part), bool(NEGATION.search(part))) for part in parts)
    return Evidence(frozenset().union(*(s for s, _ in each)), numbers(text), each)


def groundedness(sentence: str, passages: Sequence[str]) -> tuple[float, str] | None:
    """Score in [0, 1] how well `passages` support `sentence`, and what is missing; None when nothing is claimed.

    The share of the sentence's content words that the passages hold, halved for a number they lack and again when
    the passages' closest sentence negates and this one does not, or the other way round.
    """
    claim = MARKER.sub("", sentence)
    words = stems(claim)
    if len(words) < MIN_WORDS or ABSTAINS.search(claim):
        return None
    known = [evidence(text) for text in passages]
    held = words & frozenset[str]().union(*(e.stems for e in known))
    score, missing = len(held) / len(words), list[str]()
    if numbers(claim) - frozenset().union(*(e.numbers for e in known)):
        score *= WRONG_NUMBER
        missing.append("number")
    near = max(((len(words & s), negates) for e in known for s, negates in e.sentences), default=(0, False))
    if near[0] >= SAME_SUBJECT * len(words) and near[1] != bool(NEGATION.search(claim)):
        score *= WRONG_SIGN
        missing.append("negation")
    return round(score, 3), ", ".join(missing)
