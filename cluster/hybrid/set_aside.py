"""What failed to start and is left alone for a while, longer each time it fails again. It knows no pool and no Ray."""

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.hybrid.config import BackOff


@dataclass(frozen=True)
class Entry:
    """One thing that failed."""

    reason: str
    failures: int
    since: float
    until: float

    def holds(self, now: float) -> bool:
        """Whether it is set aside at `now`; a clock that was put back ends it."""
        return self.since <= now < self.until


class SetAside:
    """Failures in a row by (pool, host or node type); times are seconds of the caller's clock."""

    def __init__(self, back_off: BackOff):
        self._back_off = back_off
        self._entries: dict[tuple[str, str], Entry] = {}

    def fail(self, pool: str, thing: str, reason: str, now: float) -> Entry:
        """Set it aside, longer than the last time. A failure while it is set aside tells nothing new."""
        known = self._entries.get((pool, thing))
        if known and known.holds(now):
            return known
        failures = known.failures + 1 if known else 1
        exponent = min(failures - 1, 64)
        wait = min(self._back_off.first_s * self._back_off.factor**exponent, self._back_off.longest_s)
        entry = Entry(reason, failures, now, now + wait)
        self._entries[pool, thing] = entry
        return entry

    def succeed(self, pool: str, thing: str) -> None:
        """It started: its past failures are forgotten."""
        self._entries.pop((pool, thing), None)

    def reason(self, pool: str, thing: str, now: float) -> str | None:
        """Why it is set aside now, or None when it may be tried."""
        entry = self._entries.get((pool, thing))
        return entry.reason if entry and entry.holds(now) else None

    def current(self, now: float) -> Iterator[tuple[str, str, Entry]]:
        """All that is set aside now: pool, thing, entry."""
        return ((pool, thing, entry) for (pool, thing), entry in self._entries.items() if entry.holds(now))
