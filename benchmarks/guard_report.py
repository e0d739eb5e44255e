"""From verdicts to figures: how many rows of each file and label were refused or dropped, and by which check."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

Z = 1.959964
"""Standard deviations either side of the mean that hold 95 % of a normal distribution."""


@dataclass(slots=True)
class Count:
    """The rows of one label of one file: how many were judged, refused or dropped, and noticed by each check."""

    file: str
    label: str
    rows: int = 0
    flagged: int = 0
    by: Counter[str] = field(default_factory=Counter)

    def add(self, flagged: bool, checks: Iterable[str]) -> None:
        """Count one row; a check that noticed it twice counts once."""
        self.rows += 1
        self.flagged += flagged
        self.by.update(set(checks))


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share, by Wilson's score; of 0 in 0 nothing is known."""
    if not of:
        return 0.0, 1.0
    share, spread = hits / of, Z * Z / of
    centre = (share + spread / 2) / (1 + spread)
    half = Z * math.sqrt(share * (1 - share) / of + spread / (4 * of)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def figures(counts: Sequence[Count]) -> list[dict[str, Any]]:
    """The counts as JSON."""
    return [
        {"file": c.file, "label": c.label, "rows": c.rows, "flagged": c.flagged, "by": dict(sorted(c.by.items()))}
        for c in counts
    ]


def table(counts: Sequence[Count]) -> str:
    """The counts for a terminal, in Markdown."""
    lines = [
        "| file | label | rows | flagged | share | 95 % | noticed by |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for count in counts:
        low, high = wilson(count.flagged, count.rows)
        by = ", ".join(f"{name} {rows}" for name, rows in sorted(count.by.items()))
        share = count.flagged / count.rows
        cells = [
            count.file,
            count.label,
            str(count.rows),
            str(count.flagged),
            f"{share:.1%}",
            f"{low:.1%} to {high:.1%}",
        ]
        lines.append(f"| {' | '.join([*cells, by])} |")
    return "\n".join(lines)
