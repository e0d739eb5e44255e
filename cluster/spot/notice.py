"""What a cloud tells a machine about its end, and who asks the cloud. Knows no Ray."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Notice:
    """The machine will be taken away: `reason` for the log, and when, in seconds since 1970; None: nobody knows."""

    reason: str
    at: float | None


class Unreachable(Exception):
    """The metadata service did not answer, or not as this cloud's does."""


class Cloud(Protocol):
    """A cloud's metadata service, as a machine sees it. fake.py has a server that speaks all three."""

    name: str

    def here(self) -> bool:
        """Whether this machine stands in this cloud. Raises Unreachable when nothing answers."""
        ...

    def notice(self) -> Notice | None:
        """What is announced now. Raises Unreachable."""
        ...
