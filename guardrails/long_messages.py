"""What a long message asks for in one of its sentences: the message's own vector blurs it, and ends with its head.

Few sentences are embedded, picked by their n-grams. Of XSTest's requests for harm that are found alone, and that the
head was trained on, 92 % are found behind 900 to 6,000 characters of encyclopedia and 86 % before them, of which the
message's vector finds none; of 500 long texts without one, 2 are taken for one.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from guardrails.check import Embed
from guardrails.injection import MAX_EMBEDDED, Classifier
from guardrails.ngrams import SIZE, ngrams, weigh
from guardrails.normalise import normalise
from guardrails.windows import LONG, MAX_SENTENCES, pairs, sentences

SUSPICIOUS = 1.5
"""What the n-grams of a sentence must add up to for it to be embedded: 94 % of XSTest's requests for harm have more."""


def stretches(text: str) -> tuple[str, list[tuple[int, int]]]:
    """The normalised sentences of a message over LONG characters, alone and in pairs; none of a shorter one."""
    if len(text) <= LONG:
        return "", []
    return pairs([normalise(sentence) for sentence in islice(sentences(text), MAX_SENTENCES)])


def harm_within(heads: Classifier, text: str, embed: Embed) -> float:
    """The score in [0, 1] of the sentence that asks most for harm; 0 without one, or with another embedding model."""
    joined, spans = stretches(text)
    if not spans or not heads.bundled:
        return 0.0
    lexical = heads.harm.lexical(joined, spans)
    worst = [n for n in np.argsort(-lexical)[:MAX_EMBEDDED] if lexical[n] > SUSPICIOUS]
    if not worst:
        return 0.0
    vectors = embed([joined[slice(*spans[n])] for n in worst])
    return float(heads.judge(heads.harm, vectors, lexical[worst]).max())


def likest(text: str, examples: tuple[str, ...]) -> Sequence[str]:
    """At most MAX_EMBEDDED sentences of a long message: the last, and those that share most with the examples."""
    joined, spans = stretches(text)
    if not spans:
        return []
    single = (len(spans) + 1) // 2
    shared = weigh(joined, wording(examples), spans)
    order = [single - 1, *(n for n in np.argsort(-shared) if n != single - 1)]
    return [joined[slice(*spans[n])] for n in order[:MAX_EMBEDDED]]


@lru_cache(maxsize=16)
def wording(examples: tuple[str, ...]) -> NDArray[np.float32]:
    """Weights by which `weigh` counts the n-grams that a text shares with any of the examples."""
    weights = np.zeros(SIZE, np.float32)
    for example in examples:
        weights[ngrams(normalise(example))[0]] = 1
    return weights
