"""A measured server is ended whole."""

import sys
from pathlib import Path

import psutil
import pytest

from benchmarks.serving_process import Command, free_port, running

SERVER = """
import os, signal, subprocess, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
from multiprocessing import resource_tracker, shared_memory
memory = shared_memory.SharedMemory(create=True, size=4096)
resource_tracker.unregister(memory._name, "shared_memory")
child = subprocess.Popen(["sleep", "600"])
print(memory.name, flush=True)
signal.signal(signal.SIGINT, lambda number, frame: os._exit(0))
HTTPServer(("127.0.0.1", int(sys.argv[1])), SimpleHTTPRequestHandler).serve_forever()
"""


@pytest.mark.world
def test_neither_a_process_nor_shared_memory_outlives_the_measurement(tmp_path: Path) -> None:
    port = free_port()
    command = Command([sys.executable, "-c", SERVER, str(port)], port, "/", tmp_path / "log", {})
    with running(command, tmp_path) as process:
        family = [process, *process.children(recursive=True)]
        (name,) = (tmp_path / "log").read_text().splitlines()[:1]
        assert Path("/dev/shm", name).exists()
    assert not Path("/dev/shm", name).exists()
    assert len(family) > 1
    assert not any(member.is_running() and member.status() != psutil.STATUS_ZOMBIE for member in family)
