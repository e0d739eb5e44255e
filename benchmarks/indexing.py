"""`python -m benchmarks.indexing`: the ingest job as people run it, on synthetic documents, in passages per second.

Each run is a process of its own that builds a new index; its stages are timed by when their progress bars appear.
A document is ten sections of about 128 tokens, each a passage, in sentences that only state something, as most do:
one that asks for something costs the scanner more. Words are the embedder's vocabulary by Zipf's law, in its order.
"""

import argparse
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

from benchmarks.arguments import natural, positive
from benchmarks.serving_process import stop
from rag.chunk import embedded_text
from rag.collection import Collection
from rag.embed import EmbedConfig, SentenceEmbedder, TokenCounter
from rag.parts import documents, paths, to_entry
from rag.scan import DEFAULT_SCANNER

SECTIONS, TOKENS, SEED = 10, 128, 11
SENTENCE = "The {} {} of the {} {} {} the {} and a {} {} in the {} of {}."
SHORT = 12
"""Words of a document of the corpus that is only recognised."""
STAGES = {"start_s": b"indexing", "rows_s": b"loading"}
"""What a stage's figure is called, and the progress bar at which it ends."""


class Writer:
    """Writes the same documents every time. `words` are the commonest first."""

    def __init__(self, count_tokens: Callable[[str], int], words: list[str]) -> None:
        self._count_tokens = count_tokens
        self._known = words
        self._weights = list(accumulate(1 / rank for rank in range(10, len(words) + 10)))
        self._random = random.Random(SEED)

    def words(self, count: int) -> list[str]:
        return self._random.choices(self._known, cum_weights=self._weights, k=count)

    def heading(self) -> str:
        return " ".join(self.words(3)).capitalize()

    def sentence(self) -> str:
        return SENTENCE.format(*self.words(SENTENCE.count("{}")))

    def section(self, title: str) -> str:
        """A heading and as many sentences as fit, the last one cut, for TOKENS with the document's title."""
        text = f"## {self.heading()}\n\n{self.sentence()}"
        while (room := TOKENS - self._count_tokens(f"{title}\n{text}")) > 1:
            text += " " + " ".join(self.sentence().split()[: room - 1]).rstrip(".") + "."
        return text

    def document(self) -> str:
        title = self.heading()
        return "\n\n".join((f"# {title}", *(self.section(title) for _ in range(SECTIONS)))) + "\n"


def vocabulary(counter: TokenCounter) -> list[str]:
    """The tokenizer's whole words of five letters or more, in its order."""
    known = counter.tokenizer.get_vocab()
    return [word for word in sorted(known, key=lambda word: known[word]) if re.fullmatch("[a-z]{5,}", word)]


def write(folder: Path, documents: int, words: int = 0) -> None:
    """Fill a new folder with so many documents; with no more than so many `words` each, where that is said."""
    counter = TokenCounter(EmbedConfig())
    writer = Writer(counter, vocabulary(counter))
    folder.mkdir()
    for n in range(documents):
        text = " ".join(writer.words(words)) if words else writer.document()
        (folder / f"{n:05}.md").write_text(text, encoding="utf-8")


def run(sources: Path, index: Path, arguments: list[str]) -> dict[str, float]:
    """One job in a process: seconds of each stage and in all, processor seconds, and the most memory it held."""
    command = [sys.executable, "-m", "rag.ingest", str(sources), "--index", str(index), *arguments]
    begin = time.perf_counter()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    assert process.stderr is not None
    seen, told = dict[str, float](), b""
    try:
        with process.stderr as stderr:
            while piece := os.read(stderr.fileno(), 65_536):
                told += piece
                for stage, bar in STAGES.items():
                    if bar in told:
                        seen.setdefault(stage, time.perf_counter() - begin)
        _, status, used = os.wait4(process.pid, 0)
    except BaseException:
        stop(process)
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    total = time.perf_counter() - begin
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{told.decode(errors='replace')}")
    started, made = seen.get("start_s", total), seen.get("rows_s", total)
    return {
        "total_s": total,
        "start_s": started,
        "rows_s": made - started,
        "load_s": total - made,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_rss_mb": used.ru_maxrss / 1_000,
    }


def indexed(index: Path) -> list[int]:
    """The tokens of each passage in the serving version, as it is embedded."""
    collection = Collection(index, "raglan")
    count = TokenCounter(EmbedConfig())
    return [
        count(embedded_text(to_entry(row, vector, {}).passage))
        for path in paths(collection.folder(collection.current()))
        for _, rows, vectors in documents(path)
        for row, vector in zip(rows, vectors, strict=True)
    ]


def measure(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Medians over the runs, and what the corpus is."""
    write(folder / "documents", args.documents)
    job = ["--ray", args.ray, f"--scanner={args.scanner}"]
    runs = []
    for n in range(args.runs):
        runs.append(run(folder / "documents", folder / f"index-{n}", job))
        print(f"run {n + 1} of {args.runs}: {runs[-1]['total_s']:.1f} s", file=sys.stderr, flush=True)
    tokens = indexed(folder / "index-0")
    figures = {name: round(statistics.median(one[name] for one in runs), 2) for name in runs[0]}
    return {
        "passages": len(tokens),
        "tokens_per_passage": round(statistics.mean(tokens), 1),
        "passages_per_s": round(len(tokens) / figures["total_s"], 1),
        "passages_per_s_after_start": round(len(tokens) / (figures["total_s"] - figures["start_s"]), 1),
        "cores_used": round(figures["cpu_s"] / figures["total_s"], 2),
        **figures,
    }


def recognise(folder: Path, documents: int, runs: int) -> float:
    """Median seconds of a job on an unchanged corpus of so many short documents."""
    write(folder / "short", documents, SHORT)
    arguments = ["--ray", "never", "--scanner="]
    run(folder / "short", folder / "index-short", arguments)
    return statistics.median(run(folder / "short", folder / "index-short", arguments)["total_s"] for _ in range(runs))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.indexing", description=__doc__)
    parser.add_argument("--documents", type=positive, default=240, help="documents of ten passages")
    parser.add_argument("--runs", type=positive, default=3)
    parser.add_argument("--ray", choices=("auto", "always", "never"), default="auto", help="as the job takes it")
    parser.add_argument("--scanner", default=DEFAULT_SCANNER, help="as the job takes it; empty: none")
    parser.add_argument("--unchanged", type=natural, default=10_000, help="documents to recognise; 0: leave that out")
    parser.add_argument("--out", type=Path, help="write the figures here, as JSON")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the job and its folder are gone then, too
    SentenceEmbedder(EmbedConfig()).load()  # exports the model, which is not measured
    with tempfile.TemporaryDirectory() as folder:
        figures = {"cores": os.cpu_count(), "ray": args.ray, "scanner": args.scanner, **measure(Path(folder), args)}
        if args.unchanged:
            seconds = recognise(Path(folder), args.unchanged, args.runs)
            figures |= {"unchanged_documents": args.unchanged, "unchanged_s": round(seconds, 2)}
    for name, value in figures.items():
        print(f"{name:<27} {value}")
    if args.out:
        args.out.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
