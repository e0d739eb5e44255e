"""Steady requests from threads, and what became of each."""

import http.client
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

LAST = "[DONE]"
TIMEOUT_S = 30
GONE = (OSError, http.client.HTTPException)


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: when it began and ended, and the lines that came; `fault` is empty if it was whole."""

    began: float
    ended: float
    lines: tuple[str, ...]
    fault: str

    @property
    def teller(self) -> str:
        """The replica that answered."""
        return self.lines[0] if self.lines else ""


def ask(host: str, path: str) -> Answer:
    """Send one request on a connection of its own and read it to its end."""
    began = time.monotonic()
    connection = http.client.HTTPConnection(host, 8000, timeout=TIMEOUT_S)
    lines: tuple[str, ...] = ()
    try:
        connection.request("GET", path)
        reply = connection.getresponse()
        lines = tuple(reply.read().decode().splitlines())
        whole = reply.status == 200 and bool(lines) and lines[-1] == LAST
        fault = "" if whole else f"{reply.status} {lines[-1:]}"
    except GONE as error:
        fault = repr(error)
    finally:
        connection.close()
    return Answer(began, time.monotonic(), lines, fault)


def healthy(host: str) -> bool:
    """Whether a load balancer would send requests there."""
    connection = http.client.HTTPConnection(host, 8000, timeout=2)
    with suppress(*GONE):
        connection.request("GET", "/-/healthz")
        return connection.getresponse().status == 200
    return False


@dataclass
class Traffic:
    """Threads that ask again as soon as they are answered, each a path, while `go` says where."""

    paths: Sequence[str]
    go: Callable[[], str]
    pause_s: float = 0.05
    answers: list[Answer] = field(default_factory=list)

    def __enter__(self) -> "Traffic":
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(path,)) for path in self.paths]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, path: str) -> None:
        while not self._stop.wait(self.pause_s):
            self.answers.append(ask(self.go(), path))

    def faults(self, since: float = 0) -> list[Answer]:
        """The requests that failed and ended after `since`."""
        return [answer for answer in self.answers if answer.fault and answer.ended >= since]

    def since(self, moment: float) -> list[Answer]:
        """The requests that began after `moment`."""
        return [answer for answer in self.answers if answer.began >= moment]
