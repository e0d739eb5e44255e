"""Orphans and shared memory of a stopped application."""

import subprocess
import sys
from pathlib import Path

LEADER = (
    """
import subprocess, sys, time
from pathlib import Path
from deployments import leftovers

leftovers.adopt_orphans()
parent = subprocess.Popen([sys.executable, "-c", '''
import subprocess, sys
subprocess.Popen([sys.executable, "-c", """
    + '"""'
    + """
import time
from multiprocessing import resource_tracker, shared_memory
block = shared_memory.SharedMemory(create=True, size=64)
resource_tracker.unregister(block._name, "shared_memory")
print(block.name, flush=True)
time.sleep(600)
"""
    + '"""'
    + """])
'''], stdout=subprocess.PIPE, text=True)
name = parent.stdout.readline().strip()
parent.wait()
orphans = leftovers.descendants()
files = leftovers.shared_files(orphans)
leftovers.clear(files, 0.2)
print(name, len(orphans), *(path.name for path in files), len(leftovers.descendants()))
"""
)


def test_an_orphan_is_ended_and_its_shared_memory_removed() -> None:
    done = subprocess.run([sys.executable, "-c", LEADER], capture_output=True, text=True, timeout=60, check=True)
    name, orphans, file, left = done.stdout.split()
    assert (file, left) == (name, "0")
    assert int(orphans) >= 1
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
        clear = f"leftovers.clear({{Path({str(path)!r})}}, 0)"
        script = f"from pathlib import Path; from deployments import leftovers; {clear}"
        subprocess.run([sys.executable, "-c", script], timeout=60, check=True)
        still_there = path.exists()
        holder.communicate("\n", timeout=30)
    assert still_there
    assert not path.exists()
