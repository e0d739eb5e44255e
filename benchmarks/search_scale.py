"""`python -m benchmarks.search_scale`: the embedded store at size, on synthetic passages of 384 dimensions.

Vectors are clusters in 32 dimensions with noise in all, as sentence vectors are; terms follow Zipf's law, 60 a passage
and 6 a question. Searches are timed in a fresh process, through the store's own interface and without embedding.
"""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from benchmarks.arguments import index_config, positive
from rag.retrieve import DEPTH, HybridRetriever
from rag.scope import Scope
from rag.sparse import SparseVector
from rag.store import Entry, IndexConfig, StoreConfig, open_store
from rag.store_edge import EdgeStore
from rag.types import Passage, RequestSettings, Vector

DIMENSIONS, INNER, CLUSTERS, VOCABULARY = 384, 32, 1_000, 50_000
BATCH, QUESTIONS = 2_000, 500
TEXT = "Replicas scale on ongoing requests, and the autoscaler adds a node when none has room. " * 10


def vectors(rng: np.random.Generator, count: int) -> Vector:
    """Unit vectors near the cluster centres that every seed shares."""
    shared = np.random.default_rng(0)
    centres, basis = shared.standard_normal((CLUSTERS, INNER)), shared.standard_normal((INNER, DIMENSIONS))
    inner = centres[rng.integers(0, CLUSTERS, count)] + 0.6 * rng.standard_normal((count, INNER))
    found = inner @ basis / np.sqrt(INNER) + 0.2 * rng.standard_normal((count, DIMENSIONS))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True), np.float32)


def terms(rng: np.random.Generator, count: int, ones: bool) -> SparseVector:
    """About `count` terms; a question's weigh 1."""
    drawn, times = np.unique(np.exp(rng.random(count) * np.log(VOCABULARY)).astype(np.int64), return_counts=True)
    weights = np.ones(len(drawn)) if ones else times * 2.2 / (times + 1.2)
    return SparseVector(tuple(drawn.tolist()), tuple(weights.tolist()))


def batches(count: int) -> Iterator[list[Entry]]:
    """Documents of ten passages."""
    rng = np.random.default_rng(1)
    for begin in range(0, count, BATCH):
        page = range(begin, min(begin + BATCH, count))
        yield [
            Entry(Passage(f"{n}", f"document-{n // 10}", f"{n}. {TEXT}", "Title", "/a#b", ("A", "B")), vector, words)
            for n, vector, words in zip(
                page, vectors(rng, len(page)), (terms(rng, 60, False) for _ in page), strict=True
            )
        ]


async def load(path: Path, passages: int, index: IndexConfig) -> dict[str, float]:
    """Build the index; return the seconds of loading and of optimising."""
    store = open_store(StoreConfig(path=path, index=index), DIMENSIONS)
    begin = time.perf_counter()
    with tqdm(total=passages, desc="loading", unit=" passages", mininterval=1) as progress:
        for page in batches(passages):
            await store.write(page, settle=False)
            progress.update(len(page))
    loaded = time.perf_counter()
    await store.settle()
    settled = time.perf_counter()
    await store.close()
    return {"load_s": round(loaded - begin, 1), "optimise_s": round(settled - loaded, 1)}


async def serve(path: Path, index: IndexConfig) -> dict[str, Any]:
    """Open the index, and time and check searches."""
    begin = time.perf_counter()
    store = EdgeStore(path, DIMENSIONS, index)
    figures: dict[str, Any] = {"reload_s": round(time.perf_counter() - begin, 2)}
    rng = np.random.default_rng(2)
    asked = [(vector, terms(rng, 6, True)) for vector in vectors(rng, QUESTIONS)]
    scope, empty = Scope("default", ()), SparseVector()
    retriever, settings = HybridRetriever(store), RequestSettings("", "", per_document=8)

    async def dense(vector: Vector, words: SparseVector) -> None:
        await store.search(vector, empty, DEPTH, scope)

    async def both(vector: Vector, words: SparseVector) -> None:
        await store.search(vector, words, DEPTH, scope)

    async def hybrid(vector: Vector, words: SparseVector) -> None:
        await retriever.find(vector, words, settings)

    for name, call in (("dense", dense), ("dense_and_sparse", both), ("hybrid", hybrid)):
        figures[name] = await timed(call, asked)
    figures["rss_mb"] = rss_mb()
    figures["recall"] = await recall(store, [vector for vector, _ in asked[:200]], scope)
    await store.close()
    return figures


async def timed(
    call: Callable[[Vector, SparseVector], Awaitable[None]], asked: list[tuple[Vector, SparseVector]]
) -> dict[str, float]:
    """Milliseconds, one question after another, the first tenth not counted."""
    taken = []
    for vector, words in asked:
        begin = time.perf_counter()
        await call(vector, words)
        taken.append((time.perf_counter() - begin) * 1e3)
    p50, p95 = np.percentile(taken[len(taken) // 10 :], (50, 95))
    return {"p50_ms": round(float(p50), 2), "p95_ms": round(float(p95), 2)}


async def recall(store: EdgeStore, asked: list[Vector], scope: Scope) -> float:
    """Share of the ten nearest by exact search that the index finds among its ten."""
    shared = 0
    for vector in asked:
        near, _ = await store.search(vector, SparseVector(), 10, scope)
        exact = await store.nearest(vector, 10, scope)
        shared += len(near.keys() & exact.keys())
    return round(shared / (10 * len(asked)), 4)


def rss_mb() -> int:
    """Resident memory of this process, in MB."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1_000


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search_scale", description=__doc__)
    parser.add_argument("--passages", type=positive, default=100_000)
    parser.add_argument("--index", type=index_config, default="{}", help="the store's `index` settings, as JSON")
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    parser.add_argument("--serve", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the index is gone then, too
    index: IndexConfig = args.index
    if args.serve:
        print(json.dumps(asyncio.run(serve(args.serve, index))))
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "index"
        figures: dict[str, Any] = {"passages": args.passages} | index.model_dump()
        figures |= asyncio.run(load(path, args.passages, index))
        fresh = [sys.executable, "-m", "benchmarks.search_scale", "--serve", str(path)]
        fresh += ["--index", index.model_dump_json()]
        figures |= json.loads(subprocess.run(fresh, check=True, stdout=subprocess.PIPE).stdout)
    for name, value in figures.items():
        print(f"{name:<18} {value if not isinstance(value, dict) else '  '.join(f'{k} {v}' for k, v in value.items())}")
    if args.out:
        args.out.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
