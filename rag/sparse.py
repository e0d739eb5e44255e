"""BM25 as sparse vectors: the documents carry the term saturation, the engine multiplies by the IDF.

A query's dot product with a document is then its BM25 score. Code identifiers count whole and by their parts.
"""

import re
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache

import mmh3
from py_rust_stemmers import SnowballStemmer

K1 = 1.2
B = 0.75
AVERAGE_LENGTH = 100.0
"""Terms of a typical passage. Fixed, so that a document's vector does not depend on the others."""

TOKEN = re.compile(r"\w+(?:\.\w+)*")
PARTS = re.compile(r"[._]+|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
FUNCTION_WORDS = """
a about above after again against all also am an and any are as at be because been before being below between both but
by can could did do does doing don down during each either else etc few for from further had has have having he her
here hers herself him himself his how i if in into is it its itself just let may me might more most must my myself no
nor not now of off on once one only or other our ours ourselves out over own s same shall she should so some such t
than that the their theirs them themselves then there these they this those through to too under until up us very was
we were what when where whether which while who whom whose why will with within would you your yours yourself
yourselves"""
STOPWORDS = frozenset(FUNCTION_WORDS.split())
STEMMER = SnowballStemmer("english")
LONGEST_KNOWN = 64
"""Characters of a token whose terms are remembered."""


@dataclass(frozen=True, slots=True)
class SparseVector:
    """Weights by term: `indices` are distinct uint32 hashes."""

    indices: tuple[int, ...] = ()
    values: tuple[float, ...] = ()


def stem(word: str) -> str:
    """The English Snowball stem of a lower-case word."""
    return str(STEMMER.stem_word(word))


def token_terms(token: str) -> tuple[str, ...]:
    """The index terms of one token: itself where it has parts, and the stem of each part that is no stop word."""
    parts = [part.lower() for part in PARTS.split(token) if part]
    whole = (token.lower(),) if len(parts) > 1 else ()
    return (*whole, *(stem(part) for part in parts if part not in STOPWORDS))


known_terms = lru_cache(maxsize=65_536)(token_terms)


def terms(text: str) -> list[str]:
    """The index terms of `text` in order, repeats kept: stems of its words without stop words.

    `max_ongoing_requests`, `LLMServer` and `serve.run` also give themselves whole, in lower case.
    """
    return [
        term
        for token in TOKEN.findall(text)
        for term in (known_terms(token) if len(token) <= LONGEST_KNOWN else token_terms(token))
    ]


def document_vector(text: str) -> SparseVector:
    """BM25 term saturation of each term of `text`."""
    counts = Counter(mmh3.hash(term, signed=False) for term in terms(text))
    norm = K1 * (1 - B + B * counts.total() / AVERAGE_LENGTH)
    return SparseVector(tuple(counts), tuple(n * (K1 + 1) / (n + norm) for n in counts.values()))


def query_vector(text: str) -> SparseVector:
    """Weight 1 for each term of `text`; empty when it has none."""
    indices = tuple(dict.fromkeys(mmh3.hash(term, signed=False) for term in terms(text)))
    return SparseVector(indices, (1.0,) * len(indices))
