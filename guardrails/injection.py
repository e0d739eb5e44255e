"""How much a conversation looks like an attack on the prompt (jailbreak, injection, extraction), or asks for harm.

Trained linear heads over the question's vector and its n-grams judge it. The n-grams are read in every stretch of all
user messages and of what they hide in an encoding; the suspicious stretches are embedded too, all at once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from guardrails.check import Embed
from guardrails.decode import MAX_CHARACTERS, decoded
from guardrails.linear import Head, load
from guardrails.normalise import normalise
from guardrails.windows import LONG, MAX_SENTENCES, SENTENCE_MARGIN, apart, margins, pairs, sentences, windows
from rag.types import Vector

MAX_EMBEDDED = 4
"""Stretches that are embedded beside the question, whose vector is at hand: about 15 ms of one core each."""
MAX_ENCODED = 60_000
"""Characters of the user's messages that are searched for encodings, from the last message back."""
SUSPICIOUS = 3.5
"""What a stretch's n-grams must add up to for it to be embedded: all attacks' do, 4 % of ordinary ones'."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A score in [0, 1], where 0.5 is the recommended threshold, and the part of the conversation that earned it."""

    score: float
    where: str = "question"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A stretch that may hide an attack, what its n-grams add up to less its margin, and what it is a stretch of."""

    text: str
    lexical: float
    where: str


class Classifier:
    """The trained heads. Where vectors are not the `bundled` embedding model's, n-grams judge alone."""

    def __init__(self, bundled: bool = True) -> None:
        heads = load("injection")
        self.bundled = bundled
        self.attack = heads["attack" if bundled else "attack_words"]
        self.harm = heads["harm" if bundled else "harm_words"]

    def injection(self, text: str, earlier: Sequence[str], vector: Vector, embed: Embed) -> Scored:
        """Score the attack in `text`, the last user message, whose vector is `vector`, after the `earlier` ones.

        The greatest score of any stretch counts. `embed` is called at most once, for at most MAX_EMBEDDED texts, and
        not at all for an ordinary question.
        """
        best = Scored(self.whole(self.attack, text, vector))
        suspects = self.suspects(text, earlier)
        if not suspects:
            return best
        lexical = np.array([suspect.lexical for suspect in suspects])
        vectors = embed([suspect.text for suspect in suspects]) if self.bundled else vector[None]
        scores = self.judge(self.attack, vectors, lexical)
        top = int(scores.argmax())
        return max(best, Scored(float(scores[top]), suspects[top].where), key=lambda scored: scored.score)

    def suspects(self, text: str, earlier: Sequence[str]) -> list[Suspect]:
        """The stretches beside the question's head that may hide an attack, worst first."""
        question, before = normalise(text), [normalise(message) for message in earlier]
        found = [*self.within(question, "window", 1)]
        if hidden := list(encoded(text, *reversed(earlier))):
            found += self.stretches(*apart(hidden), "decoded")
        if before:
            for whole in (*before, " ".join([*before, question])):
                found += self.within(whole, "conversation")
        for message in (*earlier, text):
            if len(message) > LONG:
                short = [normalise(sentence) for sentence in islice(sentences(message), MAX_SENTENCES)]
                joined, spans = pairs(short)
                found += self.stretches(joined, spans, np.full(len(spans), SENTENCE_MARGIN), "sentence")
        return sorted(found, key=lambda suspect: -suspect.lexical)[:MAX_EMBEDDED]

    def within(self, text: str, where: str, skip: int = 0) -> Iterator[Suspect]:
        """The suspicious windows of a normalised `text`, without the first `skip`."""
        spans = windows(len(text))[skip:]
        return self.stretches(text, spans, margins(spans, len(text)), where)

    def stretches(
        self, text: str, spans: list[tuple[int, int]], margin: NDArray[np.float64], where: str
    ) -> Iterator[Suspect]:
        """The suspicious ones of the stretches `spans` of a normalised `text`."""
        if spans:
            for weight, less, (a, b) in zip(self.attack.lexical(text, spans), margin, spans, strict=True):
                if weight > SUSPICIOUS:
                    yield Suspect(text[a:b], float(weight - less), where)

    def harmful(self, text: str, vector: Vector) -> Scored:
        """Score how much `text`, whose vector is `vector`, asks for what does harm, with or without an attack."""
        return Scored(self.whole(self.harm, text, vector))

    def whole(self, head: Head, text: str, vector: Vector) -> float:
        """What `head` makes of a text by its vector and the n-grams of its beginning."""
        question = normalise(text)
        begin = windows(len(question))[:1]
        return float(self.judge(head, vector[None], head.lexical(question, begin) - margins(begin, len(question)))[0])

    def judge(self, head: Head, vectors: Vector, lexical: NDArray[np.float64]) -> NDArray[np.float64]:
        """The head's scores; a head of n-grams alone is given vectors of no length."""
        return head.score(vectors if self.bundled else vectors[:1, :0].repeat(len(lexical), 0), lexical)


def encoded(*messages: str) -> Iterator[str]:
    """What the messages hide in encodings, each message by itself, in the first MAX_ENCODED characters of all."""
    left = MAX_ENCODED
    for message in messages:
        yield from decoded(message[:left])
        left = max(left - min(len(message), MAX_CHARACTERS), 0)
