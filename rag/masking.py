"""The masker of one answer, and what is told of it: a check like any other, made on every piece of the stream."""

import time
from dataclasses import dataclass

from rag.stages import Masker
from rag.types import Action, Check

NAME = "masker"


@dataclass(slots=True)
class Masking:
    """`masker`, timed; `seconds` are those it took so far."""

    masker: Masker
    seconds: float = 0.0

    def feed(self, text: str) -> str:
        """Take new text, return what may leave."""
        begin = time.perf_counter()
        leaving = self.masker.feed(text)
        self.seconds += time.perf_counter() - begin
        return leaving

    def flush(self) -> str:
        """Return the rest."""
        begin = time.perf_counter()
        rest = self.masker.flush()
        self.seconds += time.perf_counter() - begin
        return rest

    def check(self) -> Check:
        """What was masked so far: the score counts the stretches, the detail names their kinds."""
        found = self.masker.found
        kinds = ", ".join(f"{kind} {number}" for kind, number in sorted(found.items()))
        action: Action = "mask" if found else "pass"
        return Check(NAME, action, float(sum(found.values())), round(self.seconds * 1e3, 3), kinds)
