"""The review queue as rows that are appended and never changed: `flagged` exchanges, and the `decision` on each.

What the queue holds is a fold of its rows, so replicas that share them agree: of several decisions the first counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

Status = Literal["open", "approved", "corrected", "rejected"]
Decision = Literal["approve", "correct", "reject"]
Row = Mapping[str, Any]

STATUS: Mapping[str, Status] = {"approve": "approved", "correct": "corrected", "reject": "rejected"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A flagged exchange as the fold knows it. `flagged` and `decision` are the places of its rows.

    `groups` are those of the key that asked: the answer may rest on documents that only they may read.
    """

    id: str
    tenant: str
    groups: frozenset[str]
    flagged: int
    decision: int | None = None
    status: Status = "open"


@dataclass(frozen=True, slots=True)
class Listing:
    """Every entry, oldest first; `full`: new ones are dropped."""

    entries: Sequence[Entry]
    full: bool = False


@dataclass(frozen=True, slots=True)
class Review:
    """The rows of an entry."""

    flagged: Row
    decision: Row | None = None


class ReviewQueue(Protocol):
    """Flagged exchanges and what people decided on them, kept for ever."""

    async def append(self, row: Row) -> bool:
        """Write one row durably; False, and nothing written, for a flagged one where the queue is full."""
        ...

    async def listing(self) -> Listing:
        """What the rows up to now say."""
        ...

    async def read(self, entries: Iterable[Entry]) -> list[Review]:
        """The rows of `entries`, in their order, without those that are gone."""
        ...


class Fold:
    """What the rows taken so far say."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}

    def take(self, row: Any, place: int) -> bool:
        """Take the row that stands at `place`; False for what is no row of a review queue."""
        match row:
            case {"kind": "flagged", "id": str(key), "tenant": str(tenant), "groups": list(groups)}:
                self.entries.setdefault(key, Entry(key, tenant, frozenset(map(str, groups)), place))
            case {"kind": "decision", "id": str(key), "decision": str(decision)} if decision in STATUS:
                entry = self.entries.get(key)
                if entry and entry.decision is None:
                    self.entries[key] = replace(entry, decision=place, status=STATUS[decision])
            case _:
                return False
        return True
