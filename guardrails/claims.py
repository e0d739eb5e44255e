"""A text as it is compared for groundedness: stems in order, numbers, names, and what it negates. No model."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from py_rust_stemmers import SnowballStemmer

from rag.citations import MARKER

WORDS = re.compile(r"\d+(?:\.\d+)*|\w+(?:['’]\w+)?")
APART = re.compile(r"(?<=\w)\s+(?=n['’]t\b)")
"""Tokenised corpora write "do n't"."""
THOUSANDS = re.compile(r"(?<=\d)\s?,(?=\d{3}\b)")
NEGATION = re.compile(r"\b(?:not|no|never|none|nor|neither|cannot|without|unable|\w+n['’]t)\b", re.IGNORECASE)
NAME = re.compile(r"(?<![.!?:]\s)(?<=[\w,;)'’\"] )[A-Z][\w-]*[a-z][\w-]*")
"""A capitalised word inside a sentence."""
SCOPE = 3
"""Content words behind a negation that it is taken to negate."""
SELF = frozenset({"i", "me", "my", "myself", "mine", "i'm", "i've", "i'd", "i'll"})
COMMON = """a about after again all also an and any are as at be because been before being between both but by can could
did do does doing each few for from further had has have having he her here hers him his how i if in into is it its
itself just may me might more most must my of off on once only or other our out over own same she should so some such
than that the their them then there these they this those through to too under until up use used uses using very was
we were what when where which while who whom why will with would you your"""
STOPWORDS = frozenset(COMMON.split())
COUNTED = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
DIGITS = {word: str(n) for n, word in enumerate(COUNTED)}

stem_word = lru_cache(maxsize=65_536)(SnowballStemmer("english").stem_word)


@dataclass(frozen=True, slots=True)
class Claim:
    """A text's stems in order, each with its weight (a content word's letters, 0 of any other), and what stands out.

    `own` tells whether it speaks of its speaker.
    """

    text: str
    stems: tuple[str, ...]
    weights: tuple[int, ...]
    content: frozenset[str]
    numbers: frozenset[str]
    names: frozenset[str]
    negated: frozenset[str]
    own: bool


def read(text: str) -> Claim:
    """`text` without its citation markers, cut into words; linear in its length."""
    text = THOUSANDS.sub("", APART.sub("", MARKER.sub("", text)))
    words = WORDS.findall(text.lower().replace("’", "'"))
    weights = [0 if w in STOPWORDS or NEGATION.fullmatch(w) else len(w) for w in words]
    stems = [DIGITS.get(w) or stem_word(w) for w in words]
    return Claim(
        text=text,
        stems=tuple(stems),
        weights=tuple(weights),
        content=frozenset(s for s, w in zip(stems, weights, strict=True) if w),
        numbers=frozenset(s for s in stems if s[:1].isdigit() and s.replace(".", "").isdigit()),
        names=frozenset(stem_word(n.lower()) for n in NAME.findall(text) if n.lower() not in STOPWORDS),
        negated=negated(words, stems, weights),
        own=not SELF.isdisjoint(words),
    )


def negated(words: Sequence[str], stems: Sequence[str], weights: Sequence[int]) -> frozenset[str]:
    """The stems of the `SCOPE` content words behind each negation."""
    found: set[str] = set()
    left = 0
    for word, stem, weight in zip(words, stems, weights, strict=True):
        if NEGATION.fullmatch(word):
            left = SCOPE
        elif weight and left:
            left -= 1
            found.add(stem)
    return frozenset(found)
