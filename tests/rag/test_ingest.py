"""Documents into the library, and the command line that only does what changed."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rag.chunk import ChunkConfig
from rag.errors import UnreadableDocument
from rag.fakes import FakeEmbedder, FakeLibrary
from rag.ingest import Ingestor
from rag.ingest_files import main
from rag.store import StoreConfig, open_store
from rag.types import Document, Passage, Vector


class RecordingLibrary(FakeLibrary):
    """Remembers the vectors of each upsert."""

    async def upsert(self, passages: list[Passage], vectors: Vector) -> None:  # type: ignore[override]
        self.vectors = vectors
        await super().upsert(passages, vectors)


async def test_documents_are_chunked_embedded_and_stored() -> None:
    library = RecordingLibrary()
    ingestor = Ingestor(FakeEmbedder(), library, ChunkConfig())
    long = "\n\n".join(f"## Part {n}\n\nReplicas scale." for n in range(150))
    infos = await ingestor.add([Document("a", "Short.", "A", "/a", {"k": "v"}), Document("b", long, "B", tenant="x")])
    assert [(info.id, info.passages) for info in infos] == [("a", 1), ("b", 150)]
    assert infos[0].metadata == {"k": "v"}
    assert library.vectors.shape == (151, 64)
    assert [info.id for info in await library.documents("x")] == ["b"]


async def test_a_document_without_text_stores_nothing() -> None:
    library = FakeLibrary()
    with pytest.raises(UnreadableDocument) as raised:
        await Ingestor(FakeEmbedder(), library, ChunkConfig()).add([Document("a", "x"), Document("b", " \n")])
    assert raised.value.param == "documents[1].text"
    assert await library.documents("default") == []
    assert await Ingestor(FakeEmbedder(), library, ChunkConfig()).add([]) == []


class FakeLoadedEmbedder(FakeEmbedder):
    """Stands in for the model in the command line's tests."""

    loads = 0

    def __init__(self, config: object) -> None:
        pass

    def load(self) -> None:
        type(self).loads += 1


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("rag.embed.SentenceEmbedder", FakeLoadedEmbedder)
    monkeypatch.setattr(FakeLoadedEmbedder, "loads", 0)
    docs = tmp_path / "docs"
    (docs / "deep").mkdir(parents=True)
    (docs / "one.md").write_text("# One\n\nReplicas scale.\n")
    (docs / "deep" / "two.md").write_text("# Two\n\nNodes join.\n")
    (docs / ".hidden.md").write_text("# Hidden\n")
    (docs / "image.png").write_bytes(b"\x89PNG")
    return docs


def run(folder: Path, *more: str) -> int:
    return main(["--index", str(folder.parent / "index"), "--dimensions", "64", str(folder), *more])


async def listed(folder: Path) -> dict[str, str]:
    store = open_store(StoreConfig(path=folder.parent / "index"), 64)
    infos = await store.documents("default")
    await store.close()
    return {info.id: info.url for info in infos}


async def listing(folder: Path) -> set[str]:
    return set(await listed(folder))


def test_first_run_second_run_change_and_removal(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder) == 0
    assert "2 documents indexed" in capsys.readouterr().out
    assert asyncio.run(listing(folder)) == {"docs/one.md", "docs/deep/two.md"}

    loads = FakeLoadedEmbedder.loads
    assert run(folder) == 0
    assert "index is up to date: 2 documents" in capsys.readouterr().out
    assert FakeLoadedEmbedder.loads == loads

    (folder / "one.md").write_text("# One\n\nChanged.\n")
    (folder / "deep" / "two.md").unlink()
    assert run(folder) == 0
    assert "1 documents indexed, 1 removed, 0 unchanged" in capsys.readouterr().out
    assert asyncio.run(listing(folder)) == {"docs/one.md"}


def test_urls_and_other_sources(folder: Path, tmp_path: Path) -> None:
    assert run(folder) == 0
    assert asyncio.run(listed(folder))["docs/one.md"] == "docs/one.md"
    single = tmp_path / "single.txt"
    single.write_text("Alone.")
    assert run(single, "--url-prefix=https://example.org/") == 0
    urls = asyncio.run(listed(folder))
    assert urls["single.txt"] == "https://example.org/single.txt"
    assert len(urls) == 3


def test_unreadable_files_are_reported_and_the_rest_goes_on(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 nothing")
    (folder / "blank.md").write_text("\n")
    assert run(folder) == 1
    output = capsys.readouterr()
    assert "broken.pdf: the PDF cannot be read" in output.err
    assert "blank.md: the file is empty" in output.err
    assert "2 documents indexed" in output.out
    assert run(folder) == 1


async def test_an_open_index_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = open_store(StoreConfig(path=folder.parent / "index"), 64)
    assert await asyncio.to_thread(run, folder) == 2
    assert "POST /v1/documents" in capsys.readouterr().err
    await store.close()


def test_bad_sources(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder / "nowhere") == 2
    assert "there is no file or folder" in capsys.readouterr().err
    twin = folder.parent / "other" / "docs"
    twin.mkdir(parents=True)
    (twin / "one.md").write_text("# Other one\n")
    assert run(folder, str(twin)) == 2
    assert "would both be the document docs/one.md" in capsys.readouterr().err


def test_a_damaged_manifest_counts_as_none(folder: Path) -> None:
    assert run(folder) == 0
    manifest = folder.parent / "index" / "manifest.json"
    assert set(json.loads(manifest.read_text())) == {"docs/one.md", "docs/deep/two.md"}
    manifest.write_text("{")
    assert run(folder) == 0


def test_an_up_to_date_index_loads_no_model(folder: Path) -> None:
    assert run(folder) == 0
    index = str(folder.parent / "index")
    program = (
        "import sys; from rag.ingest_files import main; code = main(sys.argv[1:]);"
        "heavy = {'torch', 'transformers', 'qdrant_edge', 'llama_index'} & set(sys.modules);"
        "sys.exit(f'{code} {heavy}' if code or heavy else 0)"
    )
    command = [sys.executable, "-c", program, str(folder), "--index", index, "--dimensions", "64"]
    begin = time.perf_counter()
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "up to date" in done.stdout
    assert time.perf_counter() - begin < 10
