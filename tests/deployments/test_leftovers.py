"""Orphans and shared memory of a stopped application."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deployments import leftovers

GRANDCHILD = """
import time
from multiprocessing import resource_tracker, shared_memory
block = shared_memory.SharedMemory(create=True, size=64)
resource_tracker.unregister(block._name, "shared_memory")
print(block.name, flush=True)
time.sleep(60)
"""
CHILD = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"
LEADER = """
import subprocess, sys
from deployments import leftovers

child = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]], stdout=subprocess.PIPE, text=True)
name = child.stdout.readline().strip()
family = leftovers.descendants()
files = leftovers.shared_files(family)
child.kill()
child.wait()
leftovers.clear(family, files, 0.2)
print(name, len(family), *(path.name for path in files), len(family & leftovers.alive()))
"""


def test_an_orphan_is_ended_and_its_shared_memory_removed() -> None:
    command = [sys.executable, "-c", LEADER, CHILD, GRANDCHILD]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    name, family, file, left = done.stdout.split()
    assert (file, left) == (name, "0")
    assert int(family) >= 2
    assert not (Path("/dev/shm") / name).exists()


def test_a_file_that_another_process_maps_stays() -> None:
    hold = (
        "from multiprocessing import shared_memory as s; b = s.SharedMemory(create=True, size=64);"
        "print(b.name, flush=True); input(); b.unlink()"
    )
    command = [sys.executable, "-c", hold]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        path = Path("/dev/shm") / holder.stdout.readline().strip()
        clear = f"leftovers.clear(set(), {{Path({str(path)!r})}}, 0)"
        script = f"from pathlib import Path; from deployments import leftovers; {clear}"
        subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
        still_there = path.exists()
        holder.communicate("\n", timeout=30)
    assert still_there
    assert not path.exists()


def test_a_semaphore_goes_once_its_maker_is_gone() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as maker:
        theirs, orphan = (Path(f"/dev/shm/sem.loky-{pid}-abc") for pid in (maker.pid, 2**22))  # the kernel's last id
        for path in (theirs, orphan):
            path.write_bytes(bytes(32))
        leftovers.clear(set(), set(), 0)
        assert theirs.exists()
        assert not orphan.exists()
        maker.communicate("\n", timeout=30)
    leftovers.clear(set(), set(), 0)
    assert not theirs.exists()


@pytest.fixture
def orphan() -> Iterator[Path]:
    path = Path(f"/dev/shm/sem.loky-{2**22}-{os.getpid()}")
    path.write_bytes(bytes(32))
    yield path
    path.unlink(missing_ok=True)


def test_another_users_semaphore_stays(orphan: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: me + 1)
    leftovers.clear(set(), set(), 0)
    assert orphan.exists()


def test_what_may_not_be_removed_stays_and_the_rest_goes(
    orphan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = [tmp_path / name for name in "abcdefgh"]
    for path in kept:
        path.touch()
    unlink = Path.unlink

    def guarded(path: Path, missing_ok: bool = False) -> None:
        if path in kept:
            raise PermissionError(path)
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", guarded)
        leftovers.clear(set(), set(kept), 0)
    assert not orphan.exists()
    assert all(path.exists() for path in kept)
