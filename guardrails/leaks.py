"""Whether a sentence recites what was meant for the engine alone: a canary, or a run of words of a protected text."""

import re
from collections.abc import Sequence

from guardrails.normalise import normalise

WORDS = re.compile(r"\w+")
OPEN = re.compile(r"\{\{.*?\}\}|\{%.*?%\}|\{#.*?#\}|\"[^\"\n]*\"|“[^”\n]*”", re.DOTALL)
"""What of a protected text is no secret: a template's own markup, and the words it tells the engine to say, quoted."""


def words(text: str) -> list[str]:
    """The words of `text`, normalised, in lower case."""
    return WORDS.findall(normalise(text).lower())


class Leaks:
    """Canaries and protected texts, cut into runs of `length` words."""

    def __init__(self, canaries: Sequence[str], protected: Sequence[str], length: int) -> None:
        self.length = length
        self.canaries = [normalise(c).lower() for c in canaries if c.strip()]
        self.runs = {run for text in protected for part in OPEN.split(text) for run in self.cut(words(part))}

    def cut(self, sequence: list[str]) -> list[tuple[str, ...]]:
        """Every run of `length` words."""
        return [tuple(sequence[n : n + self.length]) for n in range(len(sequence) - self.length + 1)]

    def find(self, sentence: str, public: Sequence[str]) -> str:
        """What `sentence` leaks: `canary`, `protected text`, or nothing. What stands in a `public` text is no leak."""
        if self.canaries:
            seen = normalise(sentence).lower()
            if any(canary in seen for canary in self.canaries):
                return "canary"
        told = {run for run in self.cut(words(sentence)) if run in self.runs} if self.runs else set()
        if told and not told <= {run for text in public for run in self.cut(words(text))}:
            return "protected text"
        return ""
