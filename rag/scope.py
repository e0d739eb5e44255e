"""What of the store a caller may see: its tenant and groups, and what the request narrows them to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from rag.errors import InvalidInput
from rag.types import Filter

ANY = Filter()
"""A filter that narrows nothing."""
EVERYBODY = ""
"""The reader of a passage without groups; no group has this name."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The passages of `tenant` that one of `groups` may read and `filter` lets through.

    Groups None: whatever the passage's groups, for the upkeep of the index and never for a caller.
    """

    tenant: str
    groups: tuple[str, ...] | None = None
    filter: Filter = ANY

    def any_of(self) -> dict[str, list[str]]:
        """Payload fields, and the values of which each must hold one."""
        readers = [] if self.groups is None else [EVERYBODY, *self.groups]
        wanted = {"readers": readers, "source": list(self.filter.source), "tags": list(self.filter.tag)}
        return {name: values for name, values in wanted.items() if values}

    def dates(self) -> tuple[datetime | None, datetime | None]:
        """The first and the last moment of the filter. Raises InvalidInput for what is no date."""
        since, until = self.filter.since, self.filter.until
        found = moment(since), moment(until, last=True)
        for text, when, name in ((since, found[0], "gte"), (until, found[1], "lte")):
            if text and when is None:
                raise InvalidInput("a date is needed, as ISO 8601 writes it", f"filter.date.{name}")
        return found

    def covers(self, payload: Mapping[str, Any]) -> bool:
        """Whether a stored passage is inside: what the engines' filters say, for one payload."""
        if payload["tenant"] != self.tenant:
            return False
        for name, values in self.any_of().items():
            if not set(values).intersection(payload.get(name, [])):
                return False
        since, until = self.dates()
        if since is None and until is None:
            return True
        moments = [when for text in payload.get("date", []) if (when := moment(text))]
        return any((since is None or when >= since) and (until is None or when <= until) for when in moments)


def moment(text: str, last: bool = False) -> datetime | None:
    """An ISO 8601 date or time, in UTC where it names no zone; None for what is neither.

    A date alone is its first moment, or its `last`.
    """
    try:
        return datetime.combine(date.fromisoformat(text), time.max if last else time.min, UTC)
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
