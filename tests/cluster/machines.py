"""Running a scenario of benchmarks/nodes.py: a process in a network of its own that prints one JSON object."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from deployments.settings import ROOT

TIMEOUT_S = 200


@contextmanager
def short_folder() -> Iterator[Path]:
    """A folder for Ray, whose sockets need a short path."""
    folder = Path(tempfile.mkdtemp(prefix="n", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def play(module: str, *arguments: str) -> dict[str, Any]:
    """What the scenario `module` printed; it gets a folder and then `arguments`."""
    with short_folder() as folder:
        token = folder / "token"
        token.write_text("t" * 64)
        variables = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_SERVE_ENABLE_HA_PROXY": "1",
            "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1",
        }
        command = [ROOT / "tests" / "isolate.sh", sys.executable, "-m", module, folder, *arguments]
        done = subprocess.run(
            command, env=variables, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    assert done.returncode == 0, done.stderr[-8000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told
