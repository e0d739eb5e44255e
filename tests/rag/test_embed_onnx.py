"""The exported model: as close to torch as it claims, the same in any batch, made once, and without torch."""

import multiprocessing
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper
from pydantic import ValidationError

from rag.embed import BUNDLED, EmbedConfig, SentenceEmbedder
from rag.embed_export import exported, locked, main
from rag.embed_graph import IR_VERSION, OPSETS, Graph, int8_linear, steps_without_overflow
from rag.embed_onnx import session
from rag.types import TokenVectors, Vector

ROOT = Path(__file__).resolve().parents[2]
Encoded = tuple[Vector, list[TokenVectors]]
ODD = (
    *(
        "",
        " ",
        "?",
        "...",
        "a",
        "1",
        "\n\n\t",
        "ok",
        "🙂",
        "🙂🚀🔥" * 5,
        "日本語のテスト",
        "как дела",
        "é" * 100,
        "x" * 500,
    ),
    *(
        "def f(x):\n    return x ** 2",
        "SELECT * FROM t WHERE a = 1;",
        "{}[]()",
        "0 1 2 3" * 40,
        "https://a.test/b?c=d#e",
    ),
    *("WORD " * 300, "a" * 3000, "NaN null None undefined", "<p>&nbsp;</p>", "2026-01-31T12:00:07Z", "¿Qué? ¡Sí!"),
)


def texts() -> list[str]:
    """500 of all lengths: odd ones, words, sentences and runs of sentences of the handbook."""
    pages = " ".join(path.read_text() for path in sorted((ROOT / "docs").glob("*.md")))
    lines = [line for line in re.split(r"(?<=[.:])\s+|\n+", pages) if line.strip()]
    rng = np.random.default_rng(0)
    picked = [lines[n] for n in rng.permutation(len(lines))[:250]]
    long = [" ".join(lines[n] for n in rng.integers(0, len(lines), size)) for size in rng.integers(2, 14, 150)]
    short = [" ".join(line.split()[: 1 + n % 8]) for n, line in enumerate(picked)]
    return [*ODD, *picked, *long, *short][:500]


@pytest.fixture(scope="module")
def by_torch() -> Encoded:
    embedder = SentenceEmbedder(EmbedConfig(backend="torch", threads=1))
    embedder.load()
    return embedder.encode_with_tokens(texts())


def test_500_texts_are_as_close_to_torch_as_promised(embedder: SentenceEmbedder, by_torch: Encoded) -> None:
    assert embedder.config.chosen_backend == "onnx"
    chosen = texts()
    assert len(chosen) == 500
    vectors, tokens = embedder.encode_with_tokens(chosen)
    cosines = (vectors * by_torch[0]).sum(1)
    assert cosines.min() >= 0.99, chosen[int(cosines.argmin())]
    pairs = zip(tokens[::5], by_torch[1][::5], strict=True)
    alike = np.concatenate([(mine.vectors * theirs.vectors).sum(1) for mine, theirs in pairs])
    assert alike.min() >= 0.98
    assert alike.mean() >= 0.997


def test_fp32_is_torch(by_torch: Encoded) -> None:
    plain = SentenceEmbedder(EmbedConfig(precision="fp32", threads=1))
    plain.load()
    np.testing.assert_allclose(plain.encode(texts()[::10]), by_torch[0][::10], atol=1e-5)


@given(st.lists(st.text(max_size=80), min_size=1, max_size=6))
def test_a_vector_does_not_depend_on_its_company(embedder: SentenceEmbedder, chosen: list[str]) -> None:
    together = embedder.encode(chosen)
    alone = np.concatenate([embedder.encode([text]) for text in chosen])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-5)


def test_no_sum_of_bytes_overflows_where_two_products_have_16_bits() -> None:
    """With the largest activations that there are, beside the largest weights."""
    rng = np.random.default_rng(0)
    matrix = rng.standard_t(3, (64, 96)).astype(np.float32)
    scale = steps_without_overflow(matrix)
    rounded = np.rint(matrix / scale)
    neighbours = rounded.reshape(-1, 2, 96)
    assert np.abs(rounded).max() == 127
    assert np.abs(neighbours.sum(1)[neighbours.prod(1) > 0]).max() <= 128
    states = np.where(rng.random((5, 7, 64)) < 0.9, 1, -1).astype(np.float32)
    graph = Graph()
    int8_linear(graph, "linear", matrix, "states")
    nodes = [*graph.nodes, helper.make_node("Identity", [graph.nodes[-1].output[0]], ["out"])]
    inputs = [helper.make_tensor_value_info("states", TensorProto.FLOAT, [5, 7, 64])]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, None)]
    made = helper.make_graph(nodes, "linear", inputs, outputs, list(graph.constants.values()))
    model = helper.make_model(made, opset_imports=OPSETS, ir_version=IR_VERSION).SerializeToString()
    [found] = session(model, 1).run(["out"], {"states": states})
    np.testing.assert_allclose(found, states @ (rounded * scale), rtol=1e-4, atol=1e-3)


def test_neither_torch_nor_transformers_is_imported(embedder: SentenceEmbedder) -> None:
    program = (
        "import sys; from rag.embed import EmbedConfig, SentenceEmbedder; e = SentenceEmbedder(EmbedConfig()); "
        "e.load(); e.encode(['a']); print(sorted({'torch', 'transformers', 'onnx'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_several_processes_make_one_file(tmp_path: Path) -> None:
    config = EmbedConfig(onnx_path=tmp_path / "onnx", precision="fp32")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        first, second = pool.map(inode, [config, config])
    assert first == second
    assert sorted(path.suffix for path in (tmp_path / "onnx").iterdir()) == [".lock", ".onnx"]


def inode(config: EmbedConfig) -> int:
    return exported(config).stat().st_ino


def test_a_second_run_imports_nothing_heavy(embedder: SentenceEmbedder, capsys: pytest.CaptureFixture[str]) -> None:
    main([])
    assert str(exported(embedder.config)) in capsys.readouterr().out
    program = (
        "import sys; from rag.embed_export import main; main([]); print({'onnx', 'onnxruntime'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_a_lock_that_is_never_given_back_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rag.embed_export.LOCK_TIMEOUT_S", 0.0)
    with (
        locked(tmp_path / "a.lock"),
        pytest.raises(TimeoutError, match=r"embed\.onnx_path"),
        locked(tmp_path / "a.lock"),
    ):
        pass
    with locked(tmp_path / "a.lock"):
        pass


@pytest.mark.parametrize(("change", "field"), [({"model": "some/model"}, "model"), ({"device": "cuda"}, "device")])
def test_onnx_refuses_what_it_cannot_run(change: dict[str, str], field: str) -> None:
    with pytest.raises(ValidationError, match=f"{field}: backend 'onnx' runs '{BUNDLED}'"):
        EmbedConfig.model_validate({"backend": "onnx", **change})
    assert EmbedConfig.model_validate(change).chosen_backend == "torch"
