"""A benchmark that is told to end by SIGTERM ends what it started and removes its folder."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

PROGRAM = """
import importlib, os, signal, sys, time
from pathlib import Path
from types import SimpleNamespace

def terminated(*args, **kwargs):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60)

name, target, folder, *arguments = sys.argv[1:]
bench = importlib.import_module(f"benchmarks.{name}")
bench.SHORT, bench.FOLDER, bench.CACHE = os.environ["TMPDIR"], Path(folder, "out"), Path(folder, "cache")
bench.subprocess = SimpleNamespace(run=lambda *args, **kwargs: None)
module, _, attribute = target.partition(":")
setattr(importlib.import_module(f"benchmarks.{module}"), attribute, terminated)
bench.main(arguments)
"""
JOB = """#!/bin/sh
echo $$ > "$TMPDIR/../job"
echo indexing >&2
exec sleep 60
"""
ONNX = ".ses"
"""ONNX Runtime's own file."""
INDEXING = """
import os, signal, sys
from benchmarks import indexing

class Fatal(dict):
    def items(self):
        os.kill(os.getpid(), signal.SIGTERM)
        return super().items()

indexing.STAGES = Fatal(indexing.STAGES)
sys.executable = sys.argv[1]
indexing.main(["--documents", "1", "--runs", "1"])
"""


def ended(program: str, arguments: list[str], tmp: Path) -> str:
    """Run the program, which is interrupted on its way; its error output."""
    tmp.mkdir()
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, "TMPDIR": str(tmp)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == -signal.SIGINT, done.stderr
    assert [path.name for path in tmp.iterdir() if path.name != ONNX] == []
    return done.stderr


@pytest.mark.parametrize(
    ("name", "target", "arguments"),
    [
        ("guard_live", "guard_live:running", []),
        ("redteam", "redteam:running", ["--garak", "python"]),
        ("search_scale", "search_scale:load", []),
        ("retrieval", "retrieval_stages:open_store", ["--data", "{data}"]),
    ],
)
def test_neither_a_server_nor_a_folder_is_left(name: str, target: str, arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(json.dumps({"_id": "a", "title": "", "text": "Replicas scale."}))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "What scales?"}')
    (tmp_path / "qrels" / "test.tsv").write_text("query-id\tcorpus-id\tscore\nq\ta\t1\n")
    given = [argument.format(data=tmp_path) for argument in arguments]
    assert "in terminated" in ended(PROGRAM, [name, target, str(tmp_path), *given], tmp_path / "tmp")


def test_no_index_job_is_left(tmp_path: Path) -> None:
    job = tmp_path / "python"
    job.write_text(JOB)
    job.chmod(0o755)
    ended(INDEXING, [str(job)], tmp_path / "tmp")
    assert not psutil.pid_exists(int((tmp_path / "job").read_text()))
