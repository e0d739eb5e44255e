"""What a chaos run comes to: a row for each fault, and the aims with what was reached."""

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.chaos_traffic import Outcome
from benchmarks.serving_report import table

LEAST_CORRECT = 0.999
LEAST_RATE = 20.0
UNDONE = "not done in time"
"""What is told of a fault that could not be brought to its end."""
HOLDERS = ("kill Ingress", "lose worker")
"""Faults that kill a process which holds connections: what it was sending is cut, and every HTTP client says so."""


@dataclass(frozen=True, slots=True)
class Window:
    """The time from one fault to the next. `whole_s`: after how long every replica ran again; None: not in time."""

    name: str
    began: float
    ended: float
    detail: str = ""
    whole_s: float | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """The requests that were sent in one window. Latencies are milliseconds, of those that were answered rightly.

    `trouble_s`: when the last failure ended, in seconds after the fault.
    """

    name: str
    detail: str
    whole_s: float | None
    requests: int
    statuses: dict[int, int]
    admitted: int
    correct: int
    streams: dict[str, int]
    resumed: int
    p50: float
    p95: float
    slowest: float
    trouble_s: float | None
    faults: dict[str, int]


@dataclass(frozen=True, slots=True)
class Kept:
    """What was found at the end: documents `lost` or `back` from removal, ratings `missing` or `doubled`."""

    documents: int
    lost: tuple[str, ...]
    unfindable: tuple[str, ...]
    back: tuple[str, ...]
    ratings: int
    missing: tuple[str, ...]
    doubled: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Aim:
    """One thing that is asked of a run."""

    name: str
    reached: str
    met: bool


def rows(windows: Sequence[Window], outcomes: Sequence[Outcome]) -> list[Row]:
    """A row for each window, in order: its requests, and those that its fault broke or an engine went on with."""
    held: list[list[Outcome]] = [[] for _ in windows]
    starts = [window.began for window in windows]
    for outcome in outcomes:
        moment = outcome.at + outcome.seconds if outcome.fault or outcome.resumed else outcome.at
        sent = bisect_right(starts, outcome.at) - 1
        held[min(sent + 1, bisect_right(starts, moment) - 1)].append(outcome)
    return [row(window, found) for window, found in zip(windows, held, strict=True)]


def row(window: Window, outcomes: Sequence[Outcome]) -> Row:
    """One window's."""
    admitted = [o for o in outcomes if o.admitted]
    correct = [o for o in admitted if not o.fault]
    failed = [o for o in admitted if o.fault]
    times = np.asarray([o.seconds for o in correct]) * 1e3
    p50, p95, slowest = (float(v) for v in np.percentile(times, (50, 95, 100))) if len(times) else (0.0, 0.0, 0.0)
    return Row(
        name=window.name,
        detail=window.detail,
        whole_s=window.whole_s,
        requests=len(outcomes),
        statuses=dict(sorted(Counter(o.status for o in outcomes).items())),
        admitted=len(admitted),
        correct=len(correct),
        streams=dict(Counter(str(o.ending) for o in outcomes if o.ending)),
        resumed=sum(o.resumed for o in outcomes),
        p50=p50,
        p95=p95,
        slowest=slowest,
        trouble_s=round(max(o.at + o.seconds for o in failed) - window.began, 1) if failed else None,
        faults=dict(Counter(f"{o.kind}: {o.fault}" for o in failed)),
    )


def aims(found: Sequence[Row], kept: Kept, seconds: float) -> list[Aim]:
    """What is asked for, and whether the run has it."""
    requests, admitted, correct = (sum(getattr(r, name) for r in found) for name in ("requests", "admitted", "correct"))
    endings: Counter[str] = sum((Counter(r.streams) for r in found), Counter())
    held = sum(r.streams.get("cut", 0) for r in found if r.name in HOLDERS)
    streams, proper = sum(endings.values()), endings["done"] + endings["error"]
    rate = requests / seconds
    share = correct / admitted if admitted else 0.0
    undone = [r.name for r in found if r.detail == UNDONE]
    return [
        Aim(f"at least {LEAST_RATE:g} requests/s", f"{rate:.1f}/s", rate >= LEAST_RATE),
        Aim(
            f"at least {LEAST_CORRECT:.1%} of admitted requests complete correctly",
            f"{share:.3%}: {correct} of {admitted}, {requests - admitted} refused",
            share >= LEAST_CORRECT,
        ),
        Aim(
            "every stream whose connection was not killed ends in [DONE] or a typed error",
            f"{proper} of {streams - held}, and {held} were cut with their Ingress or node",
            proper == streams - held > 0,
        ),
        Aim(
            "no document lost",
            f"{len(kept.lost)} of {kept.documents} lost, {len(kept.unfindable)} not found, {len(kept.back)} back",
            not (kept.lost or kept.unfindable or kept.back) and kept.documents > 0,
        ),
        Aim(
            "no rating twice, none lost",
            f"{len(kept.doubled)} of {kept.ratings} twice, {len(kept.missing)} lost",
            not (kept.doubled or kept.missing) and kept.ratings > 0,
        ),
        Aim("every fault brought to its end", ", ".join(undone) + " was not" if undone else "all were", not undone),
    ]


HEAD = (
    "fault",
    "requests",
    "by status",
    "admitted",
    "failed",
    "streams",
    "resumed",
    "p50 ms",
    "p95 ms",
    "slowest",
    "last failure s",
    "whole again s",
)


def shown(found: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    return table(HEAD, [cells(r) for r in found])


def cells(row: Row) -> list[str]:
    return [
        row.name,
        str(row.requests),
        told(row.statuses),
        str(row.admitted),
        str(row.admitted - row.correct),
        told(row.streams),
        str(row.resumed),
        f"{row.p50:.0f}",
        f"{row.p95:.0f}",
        f"{row.slowest:.0f}",
        "-" if row.trouble_s is None else f"{row.trouble_s:.1f}",
        "-" if row.whole_s is None else f"{row.whole_s:.1f}",
    ]


def told(counts: dict[int, int] | dict[str, int]) -> str:
    return " ".join(f"{key or 'none'}:{n}" for key, n in counts.items()) or "-"


def judged(reached: Sequence[Aim]) -> str:
    """The aims, line by line."""
    return "\n".join(f"{'met   ' if aim.met else 'MISSED'} {aim.name}: {aim.reached}" for aim in reached)
