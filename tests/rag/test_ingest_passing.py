"""What passes is made good: a file that could not be read just then, a dead job's room, a version that is gone."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from rag import ingest_rows
from rag.collection import Collection
from rag.ingest_files import main
from rag.ingest_rows import Preparer
from rag.ingest_scan import Item
from rag.read import ReadConfig
from rag.types import Document
from tests.rag.conftest import CountingEmbedder, stored

STALE = OSError(errno.ESTALE, os.strerror(errno.ESTALE))


@pytest.fixture
def folder(tmp_path: Path, counting: type[CountingEmbedder]) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "good.md").write_text("# Title\n\nReplicas scale.\n")
    return docs


@pytest.fixture
def stale(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes the next reading of each of a folder's files fail whose name ends like this."""

    def fail(end: str) -> None:
        real = ingest_rows.documents
        failed = set[str]()

        def once(item: Item, limits: ReadConfig) -> list[Document]:
            if item.key.endswith(end) and item.key not in failed:
                failed.add(item.key)
                raise STALE
            return real(item, limits)

        monkeypatch.setattr("rag.ingest_rows.documents", once)

    return fail


def run(folder: Path, *more: str) -> int:
    fixed = ["--dimensions", "64", "--scanner", "rag.fakes:FakeScanner"]
    return main(["--index", str(folder.parent / "index"), *fixed, str(folder), *more])


def texts(folder: Path) -> dict[str, str]:
    return {e.passage.document_id: e.passage.text for e in stored(folder.parent / "index")}


def test_a_file_that_could_not_be_read_just_then_stays_and_is_read_by_the_next_run(
    folder: Path, stale: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "other.md").write_text("Nodes join.")
    assert run(folder) == 0
    before = texts(folder)
    (folder / "good.md").write_text("Changed.")
    (folder / "new.md").write_text("New.")
    (folder / "sound.md").write_text("Sound.")
    stale("od.md")
    stale("new.md")
    assert run(folder) == 1
    assert "docs/good.md: [Errno 116] Stale file handle" in capsys.readouterr().err
    assert texts(folder) == {**before, "docs/sound.md": "Sound."}
    assert run(folder) == 0
    assert texts(folder) == {
        "docs/good.md": "Changed.",
        "docs/new.md": "New.",
        "docs/other.md": "Nodes join.",
        "docs/sound.md": "Sound.",
    }


def test_a_file_that_could_not_even_be_opened_just_then_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "other.md").write_text("Nodes join.")
    assert run(folder) == 0
    before, real = texts(folder), Path.read_bytes

    def closed(path: Path) -> bytes:
        if path.name == "good.md":
            raise STALE
        return real(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", closed)
        assert run(folder) == 1
        assert texts(folder) == before
    assert run(folder) == 0
    (folder / "good.md").unlink()
    (folder / "good.md").symlink_to(folder / "nowhere.md")  # gone
    assert run(folder) == 1
    assert texts(folder).keys() == {"docs/other.md"}


def test_where_nothing_could_be_read_nothing_is_promoted(
    folder: Path, stale: Callable[[str], None], capsys: pytest.CaptureFixture[str]
) -> None:
    collection = Collection(folder.parent / "index", "raglan")
    stale("good.md")
    assert run(folder) == 1
    assert "(not promoted)" in capsys.readouterr().out
    assert collection.current() == ""
    assert run(folder) == 0
    assert texts(folder).keys() == {"docs/good.md"}


def test_only_the_system_is_to_blame_for_what_passes(folder: Path) -> None:
    found = [folder / "bad.json", folder / "none.json"]
    found[0].write_text("{")
    prepare = Preparer(ingest_rows.RowConfig(ReadConfig(), ingest_rows.ChunkConfig(), ingest_rows.EmbedConfig()))
    origin = ingest_rows.Origin("docs")
    items = [Item(f"docs/{path.name}", str(path), "hash", origin, 0, 1) for path in found]
    assert [prepare(item).passing for item in items] == [False, True]


def test_a_dead_jobs_engine_gives_its_room_back_and_its_parts_are_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(folder, "--no-promote") == 0
    collection = Collection(folder.parent / "index", "raglan")
    [dead] = collection.versions()
    (collection.folder(dead) / "manifest.json").unlink()
    assert collection.unfinished() == [dead]

    def usage(_: Path) -> SimpleNamespace:
        return SimpleNamespace(free=0 if collection.engine(dead).exists() else 10**12)

    monkeypatch.setattr("rag.ingest_build.shutil", SimpleNamespace(disk_usage=usage))
    assert run(folder) == 0
    assert CountingEmbedder.texts == 1
    assert collection.unfinished() == []


def test_a_serving_version_that_is_gone_stops_the_job(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 0
    collection = Collection(folder.parent / "index", "raglan")
    gone = collection.current()
    shutil.rmtree(collection.folder(gone))
    assert run(folder) == 2
    assert f"there is no version {gone} of raglan" in capsys.readouterr().err
    assert run(folder, "--rebuild") == 0
    assert texts(folder).keys() == {"docs/good.md"}


@pytest.mark.parametrize("keep", ["0", "1", "2"])
def test_a_new_version_outlives_the_run_that_made_it(folder: Path, keep: str) -> None:
    collection = Collection(folder.parent / "index", "raglan")
    assert run(folder) == 0
    for text in ("one", "two", "three"):
        (folder / "good.md").write_text(text)
        assert run(folder, "--no-promote", f"--keep={keep}") == 0
        newest = collection.manifest(collection.versions()[-1])
        assert newest
        assert newest.version != collection.current()
        assert (collection.folder(newest.version) / "report.json").exists()
