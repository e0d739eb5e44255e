"""Starts one server at a time, waits until it answers, tells its CPU time, and ends all that it started, by id."""

import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from deployments import leftovers

START_TIMEOUT_S = 600.0
STOP_TIMEOUT_S = 60.0
KILL_TIMEOUT_S = 10.0
LOG_TAIL = 3_000


class ServerFailed(Exception):
    """A server ended, or did not answer in time; the message ends with the end of its log."""


@dataclass(frozen=True, slots=True)
class Command:
    """How a server is started: environment variables are set or taken away, `ready` is the path that tells 200."""

    argv: Sequence[str]
    port: int
    ready: str
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    unset: Sequence[str] = ()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def line(self) -> list[str]:
        """The command line, through `env`, which execs: the process id is the server's own."""
        away = [word for name in self.unset for word in ("-u", name)]
        return ["env", *away, *(f"{name}={value}" for name, value in self.env.items()), *self.argv]


@contextmanager
def running(command: Command, root: Path) -> Iterator[psutil.Process]:
    """The server's main process, once it answers. All that descends from the calling process is gone afterwards.

    Raises ServerFailed.
    """
    with command.log.open("wb") as log:
        child = subprocess.Popen(command.line, cwd=root, stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
    process = psutil.Process(child.pid)
    try:
        wait_until_ready(child, command)
        yield process
    finally:
        stop(child)


def wait_until_ready(child: "subprocess.Popen[bytes]", command: Command) -> None:
    """Return when the server answers. Raises ServerFailed."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while not answers(f"{command.url}{command.ready}"):
        if child.poll() is not None or time.monotonic() > deadline:
            why = "is not ready" if child.poll() is None else f"ended with status {child.returncode}"
            tail = command.log.read_text(errors="replace")[-LOG_TAIL:]
            raise ServerFailed(f"the server {why}; its log ends with\n{tail}")
        time.sleep(0.25)


def answers(url: str) -> bool:
    """Whether `url` answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310  our own address
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def stop(child: "subprocess.Popen[bytes]") -> None:
    """Ask the server to end, then kill what is left of its family and remove what that leaves in shared memory."""
    family = leftovers.descendants()
    files = leftovers.shared_files(family)
    with suppress(ProcessLookupError):
        child.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        child.wait(STOP_TIMEOUT_S)
    leftovers.clear(family, files, patience_s=0)
    child.wait(KILL_TIMEOUT_S)


def tree(process: psutil.Process) -> list[psutil.Process]:
    """The process and its descendants; empty when it is gone."""
    with suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def cpu_seconds(process: psutil.Process) -> float:
    """CPU time of the process and its living descendants, user and system."""
    total = 0.0
    for member in tree(process):
        with suppress(psutil.NoSuchProcess):
            times = member.cpu_times()
            total += times.user + times.system
    return total


def busy_percent() -> float:
    """How busy all cores are just now, over two seconds."""
    return float(psutil.cpu_percent(2.0))


def free_port() -> int:
    """A TCP port of loopback that is free now."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port: int = s.getsockname()[1]
        return port
