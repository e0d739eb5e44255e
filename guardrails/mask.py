"""Masks secrets and personal data in a stream, and in whole texts for traces and logs. `cells.py` cuts the text."""

from collections import Counter
from dataclasses import dataclass

from guardrails.cells import LIMIT, Cell, Cutter
from guardrails.sensitive import MASKED, Found, Kind, find_in_cell, labelled

WITHHELD = "[withheld]"
"""What stands for a cell as long as LIMIT and for all behind it."""


class StreamMasker:
    """Role `Masker` of rag/stages.py. Text is held back to the end of its word, a number to the end of the next."""

    def __init__(self, kinds: frozenset[Kind] = MASKED) -> None:
        self.kinds = kinds
        self.cutter = Cutter()
        self.found = Counter[str]()

    def feed(self, text: str) -> str:
        """Take new text, return what may leave."""
        return self.release(text, final=False)

    def flush(self) -> str:
        """Return the rest."""
        return self.release("", final=True)

    def release(self, text: str, final: bool) -> str:
        """The cells whose end is known, masked."""
        out = []
        for cell in self.cutter.cut(text, final):
            out += [cell.gap, self.masked(cell)]
        return "".join(out)

    def masked(self, cell: Cell) -> str:
        """What leaves for a cell; what it loses is counted."""
        if len(cell.text) >= LIMIT:
            self.found["withheld"] += 1
            return WITHHELD
        spans = [f for f in find_in_cell(cell.text, cell.before, cell.after) if f.kind in self.kinds]
        self.found.update(span.kind for span in spans)
        return labelled(cell.text, spans)


@dataclass(frozen=True, slots=True)
class Scan:
    """A whole text as masking leaves it, and the kinds of what it lost.

    `withheld` is a kind too, for what is too long to be looked at.
    """

    masked: str
    kinds: frozenset[str]


def scan(text: str, kinds: frozenset[Kind] = MASKED) -> Scan:
    """Mask a whole text, exactly as a stream of it would be."""
    masker = StreamMasker(kinds)
    masked = masker.feed(text) + masker.flush()
    return Scan(masked, frozenset(masker.found))


def mask(text: str, kinds: frozenset[Kind] = MASKED) -> str:
    """What `scan` leaves of a text."""
    return scan(text, kinds).masked


def find(text: str, kinds: frozenset[Kind] = MASKED) -> list[Found]:
    """What `mask` would mask in `text`, in order. Beyond a word of LIMIT characters nothing is looked at."""
    cutter, at, found = Cutter(), 0, list[Found]()
    for final in (False, True):
        for cell in cutter.cut("" if final else text, final):
            at += len(cell.gap)
            spans = find_in_cell(cell.text, cell.before, cell.after) if len(cell.text) < LIMIT else []
            found += [Found(at + f.start, at + f.end, f.kind) for f in spans if f.kind in kinds]
            at += len(cell.text)
    return found
