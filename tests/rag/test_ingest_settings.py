"""Settings of the ingest job count as a change: chunker, reader, engine and scanner."""

from pathlib import Path

import pytest

from rag.collection import Collection
from rag.ingest_files import main
from tests.rag.conftest import CountingEmbedder, stored


@pytest.fixture
def folder(tmp_path: Path, counting: type[CountingEmbedder]) -> Path:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "one.md").write_text("# One\n\nReplicas scale.\n")
    (docs / "two.md").write_text("# Two\n\nNodes join.\n")
    return docs


def run(folder: Path, *more: str) -> int:
    fixed = ["--dimensions", "64", "--scanner", "rag.fakes:FakeScanner"]
    return main(["--index", str(folder.parent / "index"), *fixed, str(folder), *more])


def test_other_chunks_and_limits_count_as_a_change_and_stand_in_the_manifest(folder: Path, tmp_path: Path) -> None:
    collection = Collection(tmp_path / "index", "raglan")
    (folder / "long.md").write_text("\n\n".join(f"Replica {n} scales on its own when it must." for n in range(30)))
    assert run(folder) == 0
    assert len(stored(tmp_path / "index")) == 4
    small = '--chunk={"max_tokens": 32}'
    assert run(folder, small) == 0
    assert len(stored(tmp_path / "index")) > 10
    version = collection.current()
    assert run(folder, small) == 0
    assert collection.current() == version
    assert run(folder, small, '--read={"max_chars": 100}') == 1
    found = {entry.passage.document_id for entry in stored(tmp_path / "index")}
    assert found == {"docs/one.md", "docs/two.md"}
    manifest = collection.manifest(collection.current())
    assert manifest
    assert (manifest.chunk["max_tokens"], manifest.read["max_chars"]) == (32, 100)
    assert run(folder) == 0
    assert len(stored(tmp_path / "index")) == 4
    assert run(folder, '--chunk={"tokens": 32}') == 2


def test_another_engine_and_another_scanner_count_as_a_change(folder: Path, tmp_path: Path) -> None:
    collection = Collection(tmp_path / "index", "raglan")
    assert run(folder) == 0
    texts = CountingEmbedder.texts
    scalar = '--engine={"quantization": "scalar"}'
    assert run(folder, scalar) == 0
    manifest = collection.manifest(collection.current())
    assert manifest
    assert (manifest.engine["quantization"], manifest.scanner) == ("scalar", "rag.fakes:FakeScanner")
    assert CountingEmbedder.texts == texts
    assert run(folder, scalar) == 0
    assert collection.current() == manifest.version
    assert run(folder, "--scanner=") == 0
    assert [entry.passage.scores for entry in stored(tmp_path / "index")] == [{}, {}]
