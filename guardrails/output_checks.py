"""The checks on one sentence of an answer, against the passages it may cite."""

import re
from functools import lru_cache

from pydantic import Field

from guardrails.check import (
    CheckPolicy,
    Finding,
    OnError,
    Reaction,
    Subject,
    action_field,
    budget_field,
    on_error_field,
)
from guardrails.grounded import groundedness
from guardrails.leaks import Leaks
from guardrails.links import unknown
from guardrails.schema_check import schema_errors
from rag.citations import markers

CODE = re.compile(r"`[^`\n]*`")
SURROGATE = re.compile("[\ud800-\udfff]")
CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u202a-\u202e\u2066-\u2069\U000e0020-\U000e007f]")
"""Terminal controls, direction overrides and tag characters: legal, and never needed in an answer."""

ORDERS_WORDS = 24
"""Least words of a caller's system messages that count as a leak: they may state facts, which answers may repeat."""


class Characters(CheckPolicy):
    """Text that is not valid Unicode (lone surrogates); control characters are only flagged."""

    action: Reaction = action_field("block")

    def check(self, subject: Subject) -> Finding:
        if SURROGATE.search(subject.text):
            return Finding(True, detail="lone surrogate")
        control = CONTROL.search(subject.text) is not None
        return Finding(control, detail="control" if control else "", mild=True)


class LeakCheck(CheckPolicy):
    """A canary, or a run of words of a protected text that neither a passage nor the question holds.

    It may have begun before the sentence. The templates that engines are asked with are protected unless `prompts` is
    false, and the caller's system messages where `system_messages` is true: they may hold facts to be repeated.
    """

    action: Reaction = action_field("block")
    canaries: tuple[str, ...] = Field((), description="Strings that must never leave, compared without case.")
    protected: tuple[str, ...] = Field(
        (),
        description="Further texts not to be recited; what they hold in double quotes may be.",
    )
    prompts: bool = Field(True, description="Whether the prompt templates in use are protected like `protected`.")
    system_messages: bool = Field(
        False, description="Whether the request's own system messages are protected too, from longer runs of words."
    )
    words: int = Field(8, ge=4, le=50, description="Consecutive words of a protected text that count as a leak.")

    def check(self, subject: Subject) -> Finding:
        kinds = [prepared(self.canaries, (*self.protected, *(subject.prompts if self.prompts else ())), self.words)]
        if self.system_messages and subject.orders:
            kinds.append(ordered(subject.orders, max(self.words, ORDERS_WORDS)))
        public = [*subject.passages, subject.question]
        told = next(filter(None, (leaks.find(subject.text, public, subject.before) for leaks in kinds)), "")
        return Finding(bool(told), float(bool(told)), told)


@lru_cache(maxsize=64)
def prepared(canaries: tuple[str, ...], protected: tuple[str, ...], words: int) -> Leaks:
    """The leaks of one policy, cut into runs once."""
    return Leaks(canaries, protected, words)


@lru_cache(maxsize=16)
def ordered(orders: str, words: int) -> Leaks:
    """The leaks of a caller's system messages, cut once for all sentences of an answer."""
    return Leaks((), (orders,), words)


class Links(CheckPolicy):
    """An image, HTML or reference whose address no passage, no passage's address and not the question holds.

    A front end fetches it unasked, and what the address carries leaves with it. `javascript:` and `data:` targets are
    never let pass. A plain link that stands nowhere is only flagged.
    """

    action: Reaction = action_field("block")

    def check(self, subject: Subject) -> Finding:
        sources = (*subject.passages, *subject.urls, subject.question)
        kinds = unknown(subject.before + subject.text, len(subject.before), sources)
        return Finding(bool(kinds), float(len(kinds)), ", ".join(sorted(kinds)), mild=kinds <= {"link"})


class Citations(CheckPolicy):
    """A marker such as [7] where there is no seventh passage; scored by the share of markers that cite one.

    A flag by default: the answer carries no citation for it, and ending a good answer in its middle helps nobody.
    """

    action: Reaction = action_field("flag")
    on_error: OnError = on_error_field("open")

    def check(self, subject: Subject) -> Finding:
        markers = cited(subject.text)
        wrong = [n for n in markers if not 1 <= n <= len(subject.passages)]
        score = 1 - len(wrong) / len(markers) if markers else None
        return Finding(bool(wrong), score, ", ".join(f"[{n}]" for n in wrong))


class Groundedness(CheckPolicy):
    """A sentence that the passages it cites do not support, or all passages when it cites none that exists."""

    action: Reaction = action_field("flag")
    on_error: OnError = on_error_field("open")
    threshold: float = Field(0.5, ge=0, le=1, description="Groundedness below which a sentence is unsupported.")

    def check(self, subject: Subject) -> Finding | None:
        if not subject.passages:
            return None
        known = subject.passages
        own = [known[n - 1] for n in cited(subject.text) if 1 <= n <= len(known)]
        judged = groundedness(subject.text, own or known)
        if judged is None:
            return Finding(False, detail="no claim")
        score, missing = judged
        return Finding(score < self.threshold, score, missing)


class JsonSchema(CheckPolicy):
    """A whole answer that does not obey the JSON schema which was asked for, because it was cut or masked.

    With the action `block` such an answer does not stream: it leaves at once when it is found right.
    """

    action: Reaction = action_field("flag")
    on_error: OnError = on_error_field("open")
    budget_ms: int = budget_field(2_000)

    def applies(self, subject: Subject) -> bool:
        return bool(subject.schema)

    def check(self, subject: Subject) -> Finding:
        wrong = schema_errors(subject.text, subject.schema)
        return Finding(bool(wrong), float(not wrong), wrong)


def cited(text: str) -> list[int]:
    """The numbers of the citation markers in `text`; what stands in code is an index, not a citation."""
    return [n for _, numbers in markers(CODE.sub("", text)) for n in numbers]
