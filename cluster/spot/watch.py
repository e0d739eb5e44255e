"""Watches for a cloud's notice and drains this machine's Ray node when it comes. Knows neither HTTP nor Ray."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from cluster.spot.notice import Cloud, Notice, Unreachable
from cluster.spot.ray_node import NotDrained

LONGEST_PAUSE_S = 10.0
"""The longest pause of the back-off: a third of the shortest notice that a cloud gives."""
SHARE = 0.5
"""The part of the time left in which replicas wait for their replacements; in the rest they finish their answers."""
log = logging.getLogger(__name__)


class Drainable(Protocol):
    """A node that can be drained."""

    def drain(self, reason: str, stop_in_s: float | None) -> None:
        """Raises NotDrained."""
        ...


@dataclass
class Watch:
    """Asks `cloud` every `every_s` seconds, less often while it does not answer, and drains `node` on its notice."""

    cloud: Cloud
    node: Drainable
    every_s: float
    clock: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    _drained: Notice | None = None
    _silent: int = 0

    def run(self) -> None:
        """Return once the node drains for a notice that says when.

        A recommendation drains too, but the watch goes on, since the notice may follow.
        """
        while not (self.look() and self._drained and self._drained.at is not None):
            self.sleep(min(self.every_s * 2**self._silent, LONGEST_PAUSE_S))

    def look(self) -> bool:
        """Ask once and act on it; whether the cloud has announced the machine's end and the node drains."""
        try:
            notice = self.cloud.notice()
        except (Unreachable, ValueError, LookupError, TypeError, AttributeError) as error:  # or an answer that is none
            self._unanswered(error)
            return False
        if self._silent:
            log.warning("%s's metadata service answers again", self.cloud.name)
            self._silent = 0
        if notice and (self._drained is None or (self._drained.at is None and notice.at is not None)):
            self._drain(notice)
        return self._drained is not None

    def _unanswered(self, error: Exception) -> None:
        if not self._silent:
            log.warning("%s's metadata service does not answer, will ask again: %s", self.cloud.name, error)
        self._silent = min(self._silent + 1, 8)

    def _drain(self, notice: Notice) -> None:
        left = None if notice.at is None else max(0.0, notice.at - self.clock())
        try:
            self.node.drain(f"{self.cloud.name}: {notice.reason}", None if left is None else left * SHARE)
        except NotDrained as error:
            log.error("%s: not drained, will try again: %s", notice.reason, error)
            return
        self._drained = notice
        log.warning("%s, %s: the node drains", notice.reason, "no time told" if left is None else f"{left:.0f} s left")
