"""What a stopped application may leave behind on Linux: orphaned processes, and files under /dev/shm.

Ray ends its workers without letting them clean up, so vLLM's message queues and joblib's semaphores would stay.
"""

import ctypes
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
SHARED_MEMORY = "/dev/shm/"  # noqa: S108  where the kernel keeps it; nothing is created here
POLL_S = 0.1


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent dies, so that `descendants` finds it."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def descendants() -> set[int]:
    """The ids of this process's children and theirs that run."""
    children: dict[int, list[int]] = {}
    for pid, parent in running():
        children.setdefault(parent, []).append(pid)
    found: set[int] = set()
    waiting = [os.getpid()]
    while waiting:
        new = set(children.get(waiting.pop(), [])) - found
        found |= new
        waiting += new
    return found


def running() -> Iterator[tuple[int, int]]:
    """Every process that is no zombie, with its parent."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            state, parent = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
        except (OSError, ValueError):
            continue
        if state != "Z":
            yield int(folder.name), int(parent)


def shared_files(pids: set[int]) -> set[Path]:
    """The files under /dev/shm that these processes have mapped."""
    found = set()
    for pid in pids:
        try:
            maps = Path(f"/proc/{pid}/maps").read_text()
        except OSError:
            continue
        found |= {Path(line[line.index(SHARED_MEMORY) :]) for line in maps.splitlines() if SHARED_MEMORY in line}
    return {path for path in found if path.exists()}


def clear(files: set[Path], patience_s: float) -> None:
    """Wait for the descendants to end, kill those that have not after `patience_s`, then remove their `files`.

    A file that another process has mapped stays.
    """
    deadline = time.monotonic() + patience_s
    while (left := descendants()) and time.monotonic() < deadline:
        time.sleep(POLL_S)
    for pid in left:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    while descendants() & left:
        time.sleep(POLL_S)
    for path in files - shared_files({pid for pid, _ in running()}):
        path.unlink(missing_ok=True)
