"""Token vectors beside the parts: made by the ingest job, read by the reranker, gone with their version."""

from pathlib import Path

import numpy as np
import pytest

from rag import token_files
from rag.chunk import embedded_text
from rag.collection import Collection
from rag.embed import BUNDLED, SentenceEmbedder
from rag.ingest_files import main
from rag.rerank import MaxSimReranker, RerankConfig
from rag.token_files import TokenFiles, beside, save_tokens, token_bytes
from rag.tokens import pack, token_key
from rag.types import Hit, TokenVectors
from tests.rag.conftest import CountingEmbedder, stored


def ingest(docs: Path, *more: str) -> int:
    return main(["--index", str(docs.parent / "index"), "--dimensions", "64", str(docs), *more])


@pytest.fixture
def docs(tmp_path: Path, counting: type[CountingEmbedder]) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("one", "two", "three"):
        (folder / f"{name}.md").write_text(f"# {name}\n\nReplicas scale {name} times.\n")
    return folder


def test_rounding_hardly_moves_a_similarity(embedder: SentenceEmbedder) -> None:
    [question, passage] = embedder.token_vectors(["How do replicas scale?", "Replicas scale with the load. " * 20])
    exact = question.vectors @ passage.vectors.T
    packed = pack(passage)
    np.testing.assert_allclose(question.vectors @ packed.vectors.T * packed.scales, exact, atol=0.002)
    assert packed.nbytes < passage.vectors.nbytes / 3.5


def test_one_forward_pass_gives_what_two_give(embedder: SentenceEmbedder) -> None:
    texts = ["Replicas scale.", "", "A much longer text about the autoscaler, which adds replicas. " * 9]
    vectors, tokens = embedder.encode_with_tokens(texts)
    np.testing.assert_allclose(vectors, embedder.encode(texts), atol=1e-6)
    for one, alone in zip(tokens, embedder.token_vectors(texts), strict=True):
        np.testing.assert_allclose(one.vectors, alone.vectors, atol=1e-6)
        np.testing.assert_array_equal(one.spans, alone.spans)


def test_what_is_written_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_files, "REFRESH_S", 0.0)
    collection = Collection(tmp_path, "raglan")
    files = TokenFiles(collection)
    key = token_key(BUNDLED, "text")
    assert files.get(key) is None  # nothing serves yet
    tokens = pack(TokenVectors(np.eye(3, 8, dtype=np.float32), np.array([[0, 1], [1, 2], [3, 9]], np.int32)))
    empty = pack(TokenVectors(np.zeros((0, 8), np.float32), np.zeros((0, 2), np.int32)))
    for n in range(2):
        version = collection.start()
        part = collection.folder(version) / "passages" / "a.parquet"
        if not n:
            save_tokens({key: tokens, b"0" * 16: empty}, part)
            assert token_bytes(collection.folder(version)) == beside(part).stat().st_size
        collection.folder(version).joinpath("manifest.json").write_text("{}")
        collection.promote(version)
        found = files.get(key)
        if n:
            assert found is None  # the version that serves now has none
            continue
        assert found is not None
        np.testing.assert_array_equal(found.vectors, tokens.vectors)
        np.testing.assert_array_equal(found.scales, tokens.scales)
        np.testing.assert_array_equal(found.spans, tokens.spans)
        assert files.get(b"0" * 16) is None


def test_the_job_keeps_them_over_versions_within_its_limit(docs: Path) -> None:
    collection = Collection(docs.parent / "index", "raglan")

    def held() -> list[bool]:
        files = TokenFiles(collection)
        entries = sorted(stored(docs.parent / "index"), key=lambda entry: entry.passage.document_id)
        return [files.get(token_key(BUNDLED, embedded_text(entry.passage))) is not None for entry in entries]

    assert ingest(docs) == 0
    assert held() == [True] * 3
    (docs / "two.md").write_text("# two\n\nSomething else.\n")
    assert ingest(docs, "--token-bytes", "0") == 0
    assert held() == [True, True, False]  # in the order one, three, two
    for name in ("one", "three"):  # most of the first part is out of date now: it is written anew
        (docs / f"{name}.md").unlink()
    (docs / "four.md").write_text("# four\n\nReplicas scale two times.\n")
    assert ingest(docs) == 0
    assert held() == [True, False]  # four, two
    assert ingest(docs, "--rebuild", "--token-bytes", "100") == 0
    assert held() == [True, False]  # room for one of 76 bytes


def test_a_passage_of_the_index_costs_the_reranker_no_forward_pass(
    tmp_path: Path, embedder: SentenceEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "a.md").write_text("# Scaling\n\nThe autoscaler removes a replica after 600 seconds.\n")
    assert main(["--index", str(tmp_path / "index"), str(docs)]) == 0
    collection = Collection(tmp_path / "index", "raglan")
    asked: list[str] = []
    seen = SentenceEmbedder.token_vectors

    def noting(self: SentenceEmbedder, texts: list[str]) -> list[TokenVectors]:
        asked.extend(texts)
        return seen(self, texts)

    monkeypatch.setattr(SentenceEmbedder, "token_vectors", noting)
    from tests.rag.test_rerank import hits

    reranker = MaxSimReranker(embedder, RerankConfig(), TokenFiles(collection))
    plain = MaxSimReranker(embedder, RerankConfig())
    [own] = passages(tmp_path / "index")
    ranked = reranker.score("When is a replica removed?", [own, *hits()], 0.5, 5)
    assert "When is a replica removed?" in asked
    assert embedded_text(own.passage) not in asked
    exact = plain.score("When is a replica removed?", [own, *hits()], 0.5, 5)
    assert [h.passage.id for h in ranked] == [h.passage.id for h in exact]
    np.testing.assert_allclose([h.rerank for h in ranked], [h.rerank for h in exact], atol=0.002)


def passages(index: Path) -> list[Hit]:
    """What the index holds, as hits."""
    from rag.parts import documents, paths, to_entry

    collection = Collection(index, "raglan")
    [part] = paths(collection.folder(collection.current()))
    return [
        Hit(to_entry(row, vector, ()).passage, 0.0)
        for _, rows, vectors in documents(part)
        for row, vector in zip(rows, vectors, strict=True)
    ]
