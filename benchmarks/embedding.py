"""The embedding model's backends side by side: speed, memory at rest, and closeness to torch in fp32.

    python -m benchmarks.embedding --out /tmp/embedding.json

Each runs in a process of its own. A question of about 10 tokens is embedded on one thread, passages of 128 tokens on
`--threads`. Parity is the cosine to torch's vectors of the handbook's lines, or of the texts of a BEIR corpus.jsonl.
"""

import argparse
import json
import multiprocessing
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.arguments import existing, positive
from rag.embed import EmbedConfig, SentenceEmbedder
from rag.types import Vector

ROOT = Path(__file__).resolve().parent.parent
CHOICES: dict[str, dict[str, Any]] = {
    "torch fp32": {"backend": "torch"},
    "onnx fp32": {"backend": "onnx", "precision": "fp32"},
    "onnx int8": {"backend": "onnx", "precision": "int8"},
}
QUESTIONS = (
    "How do I add a second replica?",
    "Where are the feedback rows kept?",
    "What happens when a node dies?",
    "Which port does the server use?",
)
PASSAGE_WORDS, WIDTH = "the model reads one page from each part", 128
WARM_UP = 5


def load(choice: str, threads: int) -> SentenceEmbedder:
    embedder = SentenceEmbedder(EmbedConfig(threads=threads, onnx_path=ROOT / "var" / "onnx", **CHOICES[choice]))
    embedder.load()
    return embedder


def measure(choice: str, threads: int, rounds: int, texts: Sequence[str]) -> tuple[dict[str, float], Vector]:
    """The figures of one choice, in this process; a passage is as many one-token words as fill `WIDTH`."""
    import psutil  # type: ignore[import-untyped]

    begin = time.perf_counter()
    embedder = load(choice, 1)
    embedder.encode(["first"])
    loaded = time.perf_counter() - begin
    memory = psutil.Process().memory_info().rss
    waits = []
    for n in range(WARM_UP + rounds):
        begin = time.perf_counter()
        embedder.encode([QUESTIONS[n % len(QUESTIONS)]])
        waits.append(time.perf_counter() - begin)
    vectors = embedder.encode(texts)
    words = PASSAGE_WORDS.split()
    passages = [" ".join(words[(n + k) % len(words)] for k in range(WIDTH - 2)) for n in range(64)]
    if embedder.count_tokens(passages[0]) != WIDTH:
        raise ValueError(f"PASSAGE_WORDS: a passage has {embedder.count_tokens(passages[0])} tokens, not {WIDTH}")
    bulk = load(choice, threads)
    spent = []
    for _ in range(3):
        begin = time.perf_counter()
        bulk.encode(passages)
        spent.append(time.perf_counter() - begin)
    p50, p95 = np.percentile(waits[WARM_UP:], [50, 95]) * 1e3
    return {
        "query_p50_ms": float(p50),
        "query_p95_ms": float(p95),
        "passages_per_s": len(passages) / min(spent),
        "load_s": loaded,
        "rss_mb": memory / 1e6,
    }, vectors


def parity_texts(corpus: Path | None, limit: int) -> list[str]:
    """The first `limit` texts of a corpus.jsonl, or lines of the handbook."""
    if corpus:
        lines = corpus.read_text(encoding="utf-8").splitlines()[:limit]
        return [json.loads(line)["text"] for line in lines]
    pages = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))]
    return [line for page in pages for line in page.splitlines() if line.strip()][:limit]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=positive, default=2, help="threads for the passages")
    parser.add_argument("--rounds", type=positive, default=200, help="questions embedded")
    parser.add_argument("--corpus", type=existing, help="a BEIR corpus.jsonl for parity; none: the handbook")
    parser.add_argument("--texts", type=positive, default=500, help="texts compared for parity")
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    args = parser.parse_args(arguments)
    texts = parity_texts(args.corpus, args.texts)
    for choice in ("onnx fp32", "onnx int8"):
        load(choice, 1)  # exports, which is not measured
    found: dict[str, dict[str, float]] = {}
    reference: Vector | None = None
    for choice in CHOICES:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            figures, vectors = pool.apply(measure, (choice, args.threads, args.rounds, texts))
        reference = vectors if reference is None else reference
        cosines = (vectors * reference).sum(1)
        found[choice] = {**figures, "cosine_min": float(cosines.min()), "cosine_mean": float(cosines.mean())}
        print(f"{choice}: " + ", ".join(f"{name} {value:.4g}" for name, value in found[choice].items()), flush=True)
    if args.out:
        args.out.write_text(
            json.dumps({"threads": args.threads, "texts": len(texts), "backends": found}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
