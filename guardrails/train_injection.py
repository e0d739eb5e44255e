"""Train the heads of guardrails/injection.py and say how they do on rows that they have not seen.

    python -m guardrails.train_injection --data rows/

Rows are those of guardrails/train_rows.py. Each is judged by heads that saw no row of its fold; a row without a fold
has its source's, so that the figures of a source are those of one never seen. The same data give the same weights.
"""

import argparse
import math
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from guardrails.check import Embed
from guardrails.linear import WEIGHTS, Head, save
from guardrails.ngrams import SIZE, SMOOTH, ngrams
from guardrails.normalise import normalise
from guardrails.train_rows import ATTACKS, FOLDS, SEED, Example, handbook, read, written
from guardrails.windows import LONG, SENTENCE_MARGIN, margins, pairs, sentences, windows
from rag.embed import BUNDLED_DIMENSIONS, EmbedConfig, SentenceEmbedder
from rag.types import Vector

Floats = NDArray[np.float64]

STRENGTH = 30.0
"""Inverse of the L2 regularisation."""
VECTOR_SCALE = 2.0
"""Weight of the vector beside the n-grams: regularised twice as little."""
MAX_STRETCHES = 6
"""Stretches of a long text that are learned from, beside its head. Of a harmless one as many sentences, too: of an
attack nobody knows which sentence it is."""
FALSE_ALARMS = 0.0045
"""Share of unseen ordinary questions over the threshold: less than half the aim, as other texts are more foreign."""
TASKS: dict[str, dict[str, int]] = {
    "attack": {**dict.fromkeys(ATTACKS, 1), "harm": 0, "benign": 0, "request": 0},
    "harm": {"harm": 1, "benign": 0, "request": 0},
}
"""Each head's kinds of rows, and whether it is to react to them; it learns nothing from the others."""


@dataclass(frozen=True, slots=True)
class Table:
    """What is learned from: one line a stretch. `row` is the example that it is cut from; `margin` is windows.py's."""

    row: NDArray[np.int64]
    vectors: Vector
    counts: sparse.csr_matrix
    weight: Floats
    margin: Floats


def tabulate(examples: Sequence[Example], embed: Embed) -> Table:
    """Cut the examples into stretches and compute their features. A head has the vector of its whole raw text."""
    rows, texts, embedded, weights, margin = list[int](), list[str](), list[str](), list[float](), list[float]()
    for n, example in enumerate(examples):
        text = normalise(example.text)
        (head, *rest), (less, *more) = windows(len(text)), margins(windows(len(text)), len(text)).tolist()
        cut = thinned([(text[a:b], m) for (a, b), m in zip(rest, more, strict=True)])
        if example.kind not in ATTACKS and len(example.text) > LONG:
            joined, spans = pairs([normalise(sentence) for sentence in sentences(example.text)])
            cut += thinned([(joined[a:b], SENTENCE_MARGIN) for a, b in spans])
        rows += [n] * (1 + len(cut))
        texts += [text[slice(*head)], *(stretch for stretch, _ in cut)]
        embedded += [example.text, *(stretch for stretch, _ in cut)]
        weights += [example.weight, *(example.weight / len(cut) for _ in cut)]
        margin += [less, *(m for _, m in cut)]
    return Table(np.array(rows), embed(embedded), count(texts), np.array(weights), np.array(margin))


def thinned(stretches: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """At most MAX_STRETCHES of the stretches, evenly."""
    return stretches[:: math.ceil(len(stretches) / MAX_STRETCHES) or 1]


def count(texts: Sequence[str]) -> sparse.csr_matrix:
    """A line a text: how often each n-gram is in it, over the root of its length, as `weigh` sums them."""
    indices, values, ends = list[NDArray[np.int64]](), list[Floats](), [0]
    for text in texts:
        buckets, counts = np.unique(ngrams(text)[0], return_counts=True)
        indices.append(buckets)
        values.append(counts / np.sqrt(len(text) + SMOOTH))
        ends.append(ends[-1] + len(buckets))
    return sparse.csr_matrix((np.concatenate(values), np.concatenate(indices), ends), (len(texts), SIZE), np.float32)


def fit(table: Table, wanted: NDArray[np.int64], use: NDArray[np.bool_], vectors: bool) -> Head:
    """A head that tells the lines of `wanted` 1 from those of 0, learned from the lines of `use`."""
    features = sparse.hstack([table.vectors * VECTOR_SCALE, table.counts]).tocsr() if vectors else table.counts
    model = LogisticRegression(C=STRENGTH, solver="liblinear", max_iter=300, random_state=SEED)
    model.fit(features[use], wanted[use], sample_weight=table.weight[use])
    coefficients, split = model.coef_[0], BUNDLED_DIMENSIONS if vectors else 0
    return Head(
        (coefficients[:split] * VECTOR_SCALE).astype(np.float32),
        coefficients[split:].astype(np.float32),
        float(model.intercept_[0]),
    )


def logits(head: Head, table: Table) -> Floats:
    """The head's sum for every line; of what is cut from one example, its greatest."""
    sums = table.counts @ head.ngrams + table.vectors[:, : len(head.vector)] @ head.vector + head.bias - table.margin
    out = np.full(table.row.max() + 1, -np.inf)
    np.maximum.at(out, table.row, sums)
    return out


def fold(example: Example) -> int:
    """The example's fold; a source's own where it has none, and -1, in none, for what is written by hand."""
    if example.source.startswith("written/"):
        return -1
    return zlib.crc32(example.source.encode()) % FOLDS if example.fold is None else example.fold


def train(examples: Sequence[Example], table: Table, task: str, vectors: bool) -> tuple[Head, Floats]:
    """The head of a task, 0.5 being its threshold, and every example's score by a head that has not seen its fold."""
    kinds = TASKS[task]
    known = np.array([e.kind in kinds for e in examples])
    wanted = np.array([kinds.get(e.kind, 0) for e in examples])
    folds = np.array([fold(e) for e in examples])
    unseen = np.full(len(examples), np.nan)
    for n in range(FOLDS):
        use = (known & (folds != n))[table.row]
        unseen[folds == n] = logits(fit(table, wanted[table.row], use, vectors), table)[folds == n]
    ordinary = np.array([e.kind == "benign" and e.fold is not None for e in examples])
    threshold = float(np.quantile(unseen[ordinary], 1 - FALSE_ALARMS))
    head = fit(table, wanted[table.row], known[table.row], vectors)
    return Head(head.vector, head.ngrams, head.bias - threshold), unseen - threshold


def report(name: str, examples: Sequence[Example], unseen: Floats) -> None:
    """Print the share of each source that is over the threshold, by heads that have not seen it."""
    over = Counter((e.kind, e.source) for e, logit in zip(examples, unseen, strict=True) if logit > 0)
    for (kind, source), rows in sorted(Counter((e.kind, e.source) for e in examples).items()):
        if not source.startswith("written/"):
            print(f"{name}\t{kind}\t{source}\t{rows}\t{over[kind, source] / rows:.1%}")


def build(examples: Sequence[Example], embed: Embed) -> tuple[dict[str, Head], dict[str, object]]:
    """Every head, with vectors and without, and the facts that go into the file of weights."""
    table = tabulate(examples, embed)
    heads = dict[str, Head]()
    for task in TASKS:
        for name, vectors in ((task, True), (f"{task}_words", False)):
            heads[name], unseen = train(examples, table, task, vectors)
            report(name, examples, unseen)
    sources = dict(sorted(Counter(e.source for e in examples).items()))
    return heads, {"sources": sources, "seed": SEED, "embedding": "all-MiniLM-L6-v2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of .jsonl files")
    parser.add_argument("--out", type=Path, default=WEIGHTS / "injection.npz")
    args = parser.parse_args()
    embedder = SentenceEmbedder(EmbedConfig())
    embedder.load()
    kinds = {kind for task in TASKS.values() for kind in task}
    examples = [e for e in (*read(args.data), *written(), *handbook()) if e.kind in kinds]
    save(args.out, *build(examples, embedder.encode))


if __name__ == "__main__":
    main()
