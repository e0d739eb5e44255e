"""What a stopped application may leave behind on Linux: orphaned processes, and files under /dev/shm.

Ray ends its workers without letting them clean up, so vLLM's message queues and joblib's semaphores would stay.
"""

import os
import re
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SHARED_MEMORY = "/dev/shm/"  # noqa: S108  where the kernel keeps it; nothing is created here
POLL_S = 0.1
SEMAPHORE = re.compile(r"sem\.loky-(\d+)-")
"""joblib's name of a semaphore, with the id of the process that made it."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process; its start time, in clock ticks since boot, tells it from a later one of the same id."""

    pid: int
    started: int


def descendants() -> set[Process]:
    """The running children of this process, and theirs."""
    children: dict[int, list[Process]] = {}
    for process, parent in running():
        children.setdefault(parent, []).append(process)
    found: set[Process] = set()
    waiting = [os.getpid()]
    while waiting:
        new = set(children.get(waiting.pop(), [])) - found
        found |= new
        waiting += [process.pid for process in new]
    return found


def running() -> Iterator[tuple[Process, int]]:
    """Every process that is no zombie, with its parent's id."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            yield Process(int(folder.name), int(fields[19])), int(fields[1])


def shared_files(processes: set[Process]) -> set[Path]:
    """The files under /dev/shm that these processes have mapped."""
    found = set()
    for process in processes:
        try:
            maps = Path(f"/proc/{process.pid}/maps").read_text()
        except OSError:
            continue
        found |= {Path(line[line.index(SHARED_MEMORY) :]) for line in maps.splitlines() if SHARED_MEMORY in line}
    return {path for path in found if path.exists()}


def clear(processes: set[Process], files: set[Path], patience_s: float) -> None:
    """Wait for `processes` to end, kill those that have not after `patience_s`, then remove their `files`.

    A file that another process has mapped stays, and so does one that may not be removed. Semaphores of this user whose
    maker is gone go too: some of ours ended long before.
    """
    deadline = time.monotonic() + patience_s
    while (left := processes & alive()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for process in left:
        try:
            os.kill(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    while processes & alive():
        time.sleep(POLL_S)
    for path in (files | ownerless()) - shared_files(alive()):
        with suppress(FileNotFoundError, PermissionError):
            path.unlink()


def ownerless() -> set[Path]:
    """Joblib's semaphores under /dev/shm that are this user's and whose process has ended."""
    pids = {process.pid for process in alive()}
    made = ((path, SEMAPHORE.match(path.name)) for path in Path(SHARED_MEMORY).iterdir())
    return {path for path, match in made if match and int(match[1]) not in pids and ours(path)}


def ours(path: Path) -> bool:
    """Whether the file is this user's; False when it is gone."""
    with suppress(FileNotFoundError, PermissionError):
        return path.lstat().st_uid == os.getuid()
    return False


def alive() -> set[Process]:
    return {process for process, _ in running()}
