"""Appends lines to a file that replicas on one host share: each is one write, and on disk on return."""

import fcntl
import os
from pathlib import Path


def append(path: Path, line: bytes) -> int:
    """Append `line`, which ends with a line feed, and return the file's size. Only its owner may read a new file.

    What a crash left of an earlier line is closed first, so that it takes no later one with it: a lock on the file
    keeps the line that another replica is just writing from looking like one.
    Raises OSError where the disk took only part of it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        size = os.fstat(file).st_size
        data = line if not size or os.pread(file, 1, size - 1) == b"\n" else b"\n" + line
        written = os.write(file, data)
        os.fsync(file)
        size = os.fstat(file).st_size
    finally:
        os.close(file)
    if written < len(data):
        raise OSError("the disk took only part of a line")
    return size
