"""The checks on what a user asks. What assistants said is not judged: it may quote an attack a document describes."""

import unicodedata
import zlib
from collections import Counter
from typing import ClassVar

from pydantic import Field

from guardrails.check import (
    CheckPolicy,
    Finding,
    Masking,
    OnError,
    Reaction,
    Subject,
    action_field,
    budget_field,
    on_error_field,
)
from guardrails.normalise import hidden, normalise
from guardrails.phrases import phrases
from guardrails.sensitive import MASKED, SECRETS, Kind

GROWTH = 2
"""How many times as long as it is written a text may be as the checks read it; one sign is read as up to 18."""
REPETITION_FROM = 1_000
"""Characters below which a text is too short for its repetition to matter."""


class Length(CheckPolicy):
    """Messages and conversations that are too long; scored by how full the fuller limit is.

    What is much longer as the checks read it counts by that.
    """

    gate: ClassVar[bool] = True
    refusal: ClassVar[str] = "too_long"
    action: Reaction = action_field("block")
    max_characters: int = Field(16_000, ge=1, le=1_000_000, description="Characters one user message may have.")
    max_history_characters: int = Field(
        60_000, ge=1, le=1_000_000, description="Characters all user messages together may have."
    )

    def check(self, subject: Subject) -> Finding:
        sizes = [size(text) for text in subject.asked]
        fill = max(max(sizes) / self.max_characters, sum(sizes) / self.max_history_characters)
        return Finding(fill > 1, round(fill, 3))


def size(text: str) -> float:
    """The characters of `text`, or 1/GROWTH of those that it has when it is normalised, if that is more."""
    if text.isascii():
        return len(text)
    read = sum(count * len(unicodedata.normalize("NFKC", char)) for char, count in Counter(text).items())
    return max(len(text), read / GROWTH)


class Repetition(CheckPolicy):
    """Messages that repeat themselves without end; scored by the share that compression removes."""

    refusal: ClassVar[str] = "too_long"
    action: Reaction = action_field("block")
    threshold: float = Field(
        0.96,
        ge=0,
        le=1,
        description="Share of a message that compression may remove; prose loses 0.5 to 0.7, log files up to 0.93.",
    )

    def check(self, subject: Subject) -> Finding:
        if len(subject.text) < REPETITION_FROM:
            return Finding(False, 0.0)
        raw = subject.text.encode(errors="replace")
        share = 1 - len(zlib.compress(raw, 1)) / len(raw)
        return Finding(share > self.threshold, round(share, 3))


class Hidden(CheckPolicy):
    """Invisible Unicode tag characters, which can carry hidden text; scored by their number."""

    action: Reaction = action_field("flag")
    on_error: OnError = on_error_field("open")

    def check(self, subject: Subject) -> Finding:
        count = sum(map(hidden, subject.asked))
        return Finding(count > 0, float(count))


class Phrases(CheckPolicy):
    """Phrases of prompt injection, jailbreak and extraction, also one that goes over from a message to the next."""

    action: Reaction = action_field("block")

    def check(self, subject: Subject) -> Finding:
        seen = phrases(normalise("\n".join(subject.asked)))
        if subject.earlier:
            seen += [name for name in phrases(normalise(subject.text)) if name not in seen]
        return Finding(bool(seen), float(bool(seen)), ", ".join(seen))


class Secrets(CheckPolicy):
    """API keys, tokens, passwords and private keys; scored by how many kinds there are, named in the detail.

    When it finds any, the action `mask` masks all that is masked in answers, personal data included. A word too long
    to be read counts as the kind `withheld`.
    """

    action: Masking = action_field("flag")
    on_error: OnError = on_error_field("open")
    budget_ms: int = budget_field(2_000)

    def check(self, subject: Subject) -> Finding:
        return told(subject, self.action, MASKED - SECRETS)


class Pii(CheckPolicy):
    """Personal data such as email addresses and phone numbers; scored by how many kinds there are, named in the detail.

    When it finds any, the action `mask` masks all that is masked in answers, secrets included. Secrets alone are none.
    """

    action: Masking = action_field("flag")
    on_error: OnError = on_error_field("open")
    budget_ms: int = budget_field(2_000)

    def check(self, subject: Subject) -> Finding:
        return told(subject, self.action, SECRETS)


def told(subject: Subject, action: Masking, others: frozenset[Kind]) -> Finding:
    """The finding of what masking takes out of the user's messages, unless it is of the `others`.

    It has the messages masked where that is the action.
    """
    scans = subject.scanned()
    kinds = frozenset[str]().union(*(one.kinds for one in scans)) - others
    masked = tuple(one.masked for one in scans) if kinds and action == "mask" else ()
    return Finding(bool(kinds), float(len(kinds)), ", ".join(sorted(kinds)), masked=masked)
