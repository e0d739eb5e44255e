"""Whether a sentence recites what was meant for the engine alone: a canary, or a run of words of a protected text."""

import base64
import codecs
import re
from collections.abc import Sequence

from guardrails.normalise import normalise

WORDS = re.compile(r"[^\W_]+")
OPEN = re.compile(r"\{\{.{,400}?\}\}|\{%.{,400}?%\}|\{#.{,400}?#\}|\"[^\"\n]{,400}\"|“[^”\n]{,400}”", re.DOTALL)
"""What of a protected text is no secret: a template's own markup, and the words it tells the engine to say, quoted."""
MIN_SQUEEZED = 8
"""Letters and digits a canary needs for its disguises to be looked for: shorter ones occur by chance."""
SPLITS = re.compile(r"[\W_]+")


def words(text: str) -> list[str]:
    """The words of `text`, normalised, in lower case. Numbers are left out: a recital may number its lines."""
    return [word for word in WORDS.findall(normalise(text).lower()) if not word.isdigit()]


def squeezed(text: str) -> str:
    """The letters and digits of a normalised text alone: c-a-n a_r.y reads as canary."""
    return SPLITS.sub("", text.lower())


def disguises(canary: str) -> list[str]:
    """A canary without what parts its characters, and that reversed, in rot13 and in hexadecimal."""
    plain = squeezed(canary)
    return [plain, plain[::-1], codecs.encode(plain, "rot13"), canary.encode().hex()]


def encodings(canary: str) -> list[str]:
    """What Base64 makes of a canary inside a longer text: one for each place in a group of three bytes."""
    found = []
    for shift in range(3):
        raw = b"\0" * shift + canary.encode()
        whole = base64.b64encode(raw[: len(raw) // 3 * 3]).decode()
        found.append(whole[4 if shift else 0 :])  # the first group also holds bytes of what stands before
    return found


class Leaks:
    """Canaries and protected texts, cut into runs of `length` words."""

    def __init__(self, canaries: Sequence[str], protected: Sequence[str], length: int) -> None:
        self.length = length
        self.canaries = [normalise(c) for c in canaries if c.strip()]
        long = [c for c in self.canaries if len(squeezed(c)) >= MIN_SQUEEZED]
        self.disguised = [needle for c in long for needle in disguises(c)]
        self.encoded = [needle for c in long for case in (c, c.lower(), c.upper()) for needle in encodings(case)]
        self.runs = {run for text in protected for part in OPEN.split(text) for run in self.cut(words(part))}

    def cut(self, sequence: list[str]) -> list[tuple[str, ...]]:
        """Every run of `length` words."""
        return [tuple(sequence[n : n + self.length]) for n in range(len(sequence) - self.length + 1)]

    def find(self, sentence: str, public: Sequence[str], before: str = "") -> str:
        """What `sentence` leaks: `canary`, `protected text`, or nothing. What stands in a `public` text is no leak.

        A canary is also seen in any case, spaced out, reversed, in rot13, hexadecimal or Base64. Both may begin in the
        text `before`; what is whole there was an earlier sentence's leak.
        """
        if self.has_canary(before + sentence) and (self.has_canary(sentence) or not self.has_canary(before)):
            return "canary"
        told = self.told(before + sentence)
        if told and before:
            told = told - self.told(before) | self.told(sentence)
        if told and not told <= {run for text in public for run in self.cut(words(text))}:
            return "protected text"
        return ""

    def told(self, text: str) -> set[tuple[str, ...]]:
        """The runs of a protected text that `text` holds."""
        return {run for run in self.cut(words(text)) if run in self.runs} if self.runs else set()

    def has_canary(self, text: str) -> bool:
        """Whether a text holds a canary, as it is or disguised."""
        if not self.canaries:
            return False
        text = normalise(text)
        lower, bare = text.lower(), squeezed(text)
        joined = text.replace(" ", "").replace("-", "+").replace("_", "/")  # both alphabets of Base64
        return (
            any(c.lower() in lower for c in self.canaries)
            or any(needle in bare for needle in self.disguised)
            or any(needle in joined for needle in self.encoded)
        )
