"""The documents and ratings that a chaos run has given away, and whether all of them are there at the end."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SETTLED_S = 2.0
"""A document is not removed or searched for before it has been stored so long."""


def word(n: int) -> str:
    """What only the n-th document says."""
    return f"lighthouse{n:05d}"


def note(n: int) -> dict[str, Any]:
    """The n-th document."""
    text = f"The keeper of {word(n)} writes his log at dawn. The lamp of {word(n)} was lit {n} times in its first year."
    return {"id": f"note-{n:05d}", "title": f"Log of {word(n)}", "text": text}


@dataclass
class Notes:
    """What Raglan said of each document: stored (since when), removed, or nothing, and then it may be either."""

    stored: dict[int, float] = field(default_factory=dict)
    removed: set[int] = field(default_factory=set)
    unsure: set[int] = field(default_factory=set)
    numbers: int = 0

    def new(self) -> int:
        self.numbers += 1
        return self.numbers

    def settled(self, now: float) -> list[int]:
        """The documents that were stored a while ago."""
        return [n for n, at in self.stored.items() if now - at >= SETTLED_S]

    def faults(self, listed: Sequence[str]) -> tuple[list[str], list[str]]:
        """The documents that were stored and are not `listed`, and those that were removed and are."""
        there = set(listed)
        lost = [note(n)["id"] for n in self.stored if note(n)["id"] not in there]
        back = [note(n)["id"] for n in self.removed if note(n)["id"] in there]
        return lost, back


@dataclass
class Ratings:
    """The ids of the ratings that Raglan has confirmed."""

    kept: set[str] = field(default_factory=set)

    def faults(self, file: Path) -> tuple[list[str], list[str]]:
        """The confirmed ones without a row in `file`, and all with more than one."""
        rows = [json.loads(line) for line in file.read_text().splitlines() if line.strip()] if file.exists() else []
        counted = Counter(row["id"] for row in rows)
        return sorted(self.kept - set(counted)), sorted(id for id, times in counted.items() if times > 1)
