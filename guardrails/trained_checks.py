"""The checks by trained heads and by example sentences, on what is asked and on what was retrieved."""

from collections.abc import Sequence
from functools import cache, lru_cache

import numpy as np
from pydantic import Field

from guardrails.check import (
    CheckPolicy,
    Dropping,
    Embed,
    Finding,
    OnError,
    Reaction,
    Subject,
    action_field,
    budget_field,
    on_error_field,
)
from guardrails.injection import Classifier
from guardrails.long_messages import harm_within, likest
from guardrails.passage_scores import score_name
from guardrails.passages import PassageScanner, Scored
from rag.types import Vector

REMEMBERED = 20_000
"""Passages whose score is kept: the same ones are retrieved again and again."""
NO_VECTOR: Vector = np.zeros(0, np.float32)


class Injection(CheckPolicy):
    """An attack on the prompt: jailbreak, injection or extraction, in any stretch of the conversation.

    The detail says where: in the question, a window of a long one, an encoding, or the conversation as a whole.
    """

    action: Reaction = action_field("block")
    budget_ms: int = budget_field(2_000)
    threshold: float = Field(0.5, ge=0, le=1, description="Score from which it is an attack; 1 is the surest.")

    def check(self, subject: Subject) -> Finding:
        vector = NO_VECTOR if subject.vector is None else subject.vector
        found = classifier(subject.bundled).injection(subject.text, subject.earlier, vector, subject.embed or nothing)
        return Finding(found.score >= self.threshold, round(found.score, 3), found.where)


class Harm(CheckPolicy):
    """A request for what does harm, with or without an attack on the prompt, in the last message of the user.

    The detail is `sentence` where one of a long message scores more than the message as a whole.
    """

    action: Reaction = action_field("flag")
    on_error: OnError = on_error_field("open")
    budget_ms: int = budget_field(2_000)
    threshold: float = Field(0.5, ge=0, le=1, description="Score from which a request is harmful; 1 is the surest.")

    def check(self, subject: Subject) -> Finding:
        vector = NO_VECTOR if subject.vector is None else subject.vector
        heads = classifier(subject.bundled)
        whole = heads.harmful(subject.text, vector).score
        within = harm_within(heads, subject.text, subject.embed or nothing)
        score = max(whole, within)
        return Finding(score >= self.threshold, round(score, 3), "sentence" if within > whole else "")


class Topics(CheckPolicy):
    """Questions near to a denied example sentence, or, where any are allowed, near to no allowed one.

    Scored by the cosine similarity to the nearest example that decided. The last message of the user is judged; some
    sentences of a long one may be denied by themselves.
    """

    action: Reaction = action_field("block")
    budget_ms: int = budget_field(2_000)
    deny: tuple[str, ...] = Field((), max_length=500, description="Examples of what must not be asked.")
    allow: tuple[str, ...] = Field((), max_length=500, description="Examples of what may be asked; empty: anything.")
    deny_from: float = Field(0.6, ge=0, le=1, description="Cosine similarity from which a denied example is met.")
    allow_from: float = Field(0.3, ge=0, le=1, description="Cosine similarity that an allowed example needs.")

    def applies(self, subject: Subject) -> bool:
        return bool(self.deny or self.allow)

    def check(self, subject: Subject) -> Finding:
        if subject.embed is None or subject.vector is None:
            raise RuntimeError("topics need vectors")
        parts = likest(subject.text, self.deny) if self.deny else ()
        vectors = np.vstack([subject.vector, subject.embed(parts)]) if parts else subject.vector[None]
        denied = nearest(vectors, self.deny, subject.embed)
        if denied >= self.deny_from and self.deny:
            return Finding(True, round(denied, 3), "denied")
        if not self.allow:
            return Finding(False, round(denied, 3))
        allowed = nearest(subject.vector[None], self.allow, subject.embed)
        away = allowed < self.allow_from
        return Finding(away, round(allowed, 3), "not allowed" if away else "")


class Instructions(CheckPolicy):
    """A sentence in a passage that tells the model what to do, amid others on another matter.

    The score that the passage was stored with counts, where this very classifier gave it.
    """

    action: Dropping = action_field("drop")
    budget_ms: int = budget_field(2_000)
    threshold: float = Field(0.5, ge=0, le=1, description="Score from which a passage is dropped; 1 is the surest.")

    def check(self, subject: Subject) -> Finding:
        stored = subject.scores.get(score_name(subject.bundled))
        if stored is not None:
            return Finding(stored >= self.threshold, round(stored, 3), "scored when stored")
        found = scanned(subject.text, subject.embed or nothing, subject.bundled)
        return Finding(found.score >= self.threshold, round(found.score, 3))


@cache
def classifier(bundled: bool) -> Classifier:
    """The heads for questions, loaded once."""
    return Classifier(bundled)


@cache
def scanner(bundled: bool) -> PassageScanner:
    """The heads for passages, loaded once."""
    return PassageScanner(bundled)


@lru_cache(maxsize=REMEMBERED)
def scanned(text: str, embed: Embed, bundled: bool) -> Scored:
    """A passage's score."""
    return scanner(bundled).scan([text], embed)[0]


@lru_cache(maxsize=64)
def examples(sentences: tuple[str, ...], embed: Embed) -> Vector:
    """The vectors (n, d) of example sentences."""
    return embed(sentences)


def nearest(vectors: Vector, sentences: tuple[str, ...], embed: Embed) -> float:
    """The cosine similarity of any of `vectors` (n, d) to the nearest of `sentences`; 0 without any."""
    return float((examples(sentences, embed) @ vectors.T).max()) if sentences else 0.0


def nothing(texts: Sequence[str]) -> Vector:
    """The vectors where there is no embedding model: without length."""
    return np.zeros((len(texts), 0), np.float32)
