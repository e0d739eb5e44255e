"""Train the heads of guardrails/passages.py: sentences are planted in clean passages and have to be told from theirs.

    python -m guardrails.train_passages --data rows/

Rows are those of guardrails/train_rows.py: `clean` ones are passages; `steer`, `request` and short attacks are planted.
"""

import argparse
import random
import re
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
from guardrails.passages import MAX_SENTENCE, sentences
from guardrails.train_injection import STRENGTH, VECTOR_SCALE, Floats, count, fold
from guardrails.train_rows import FOLDS, SEED, Example, read, written
from rag.embed import EmbedConfig, SentenceEmbedder

PLANTED = ("steer", "request", "injection", "extraction")
PLANTINGS = 6_000
PER_PASSAGE = 40
"""Sentences of a clean passage that are learned from, drawn at random."""
FALSE_ALARMS = 0.02
"""Share of unseen clean passages over the threshold."""
PLACES = ("start", "middle", "end")
LETTERS = re.compile(r"\W+")


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, the passage it stands in, whether it was planted there, and the folds that must not judge it."""

    text: str
    passage: int
    planted: bool
    source: str
    folds: tuple[int, ...]
    weight: float = 1.0


def plant(passage: str, sentence: str, place: str, rng: random.Random) -> str:
    """`passage` with `sentence` at its start, its end, or between two of its lines or sentences."""
    if place == "start":
        return f"{sentence}\n{passage}"
    if place == "end":
        return passage + rng.choice((" ", "\n")) + sentence
    parts = re.split(r"(?<=\n)|(?<=[.!?]\s)", passage)
    at = rng.randrange(len(parts) + 1)
    return "".join([*parts[:at], f"{sentence}\n", *parts[at:]])


def collect(examples: Sequence[Example]) -> tuple[list[str], list[Sentence]]:
    """All passages, clean ones and such with one planted sentence, and their sentences that are learned from."""
    rng = random.Random(SEED)
    clean = [e for e in examples if e.kind == "clean"]
    asked = [e for e in examples if e.kind in PLANTED and len(e.text) < MAX_SENTENCE]
    rng.shuffle(asked)
    passages = [e.text for e in clean]
    found = list[Sentence]()
    for n, example in enumerate(clean):
        own = sentences(example.text)
        for text in rng.sample(own, min(len(own), PER_PASSAGE)):
            found.append(Sentence(text, n, False, example.source, (fold(example),)))
    for n in range(PLANTINGS):
        host, guest = rng.choice(clean), asked[n % len(asked)]
        passage = plant(host.text.strip(), guest.text, rng.choice(PLACES), rng)
        wanted = {bare(text) for text in sentences(guest.text)}
        weight = 1.0 if guest.source.startswith("written/") else guest.weight
        for text in sentences(passage):
            if bare(text) in wanted:
                found.append(Sentence(text, len(passages), True, guest.source, (fold(host), fold(guest)), weight))
        passages.append(passage)
    return passages, found


def bare(text: str) -> str:
    return LETTERS.sub(" ", text.lower()).strip()


def features(passages: Sequence[str], found: Sequence[Sentence], embed: Embed) -> tuple[Floats, sparse.csr_matrix]:
    """For each sentence: its vector and how near it is to its passage's; and its n-grams."""
    own, whole = embed([s.text for s in found]), embed(passages)
    near = (own * whole[[s.passage for s in found]]).sum(1, keepdims=True)
    return np.hstack([own, near]), count([s.text for s in found])


def fit(vectors: Floats, counts: sparse.csr_matrix, found: Sequence[Sentence], use: NDArray[np.bool_]) -> Head:
    """A head of vectors (n, d), none where d is 0, and n-grams, learned from the sentences of `use`."""
    wanted, weight = np.array([s.planted for s in found]), np.array([s.weight for s in found])
    lines = sparse.hstack([vectors * VECTOR_SCALE, counts]).tocsr()[use]
    model = LogisticRegression(C=STRENGTH, solver="liblinear", max_iter=300, random_state=SEED)
    model.fit(lines, wanted[use], sample_weight=weight[use])
    coefficients, split = model.coef_[0].astype(np.float32), vectors.shape[1]
    return Head(coefficients[:split] * np.float32(VECTOR_SCALE), coefficients[split:], float(model.intercept_[0]))


def train(found: Sequence[Sentence], vectors: Floats, counts: sparse.csr_matrix) -> tuple[Head, Floats]:
    """The head, 0.5 being its threshold, and each sentence's score by a head that has not seen its folds."""
    unseen = np.full(len(found), np.nan)
    for n in range(FOLDS):
        out = np.array([n in s.folds for s in found])
        head = fit(vectors, counts, found, ~out)
        unseen[out] = (vectors @ head.vector + counts @ head.ngrams + head.bias)[out]
    worst = dict[int, float]()
    for sentence, logit in zip(found, unseen, strict=True):
        if not sentence.planted:
            worst[sentence.passage] = max(worst.get(sentence.passage, -np.inf), float(logit))
    threshold = float(np.quantile(list(worst.values()), 1 - FALSE_ALARMS))
    head = fit(vectors, counts, found, np.ones(len(found), bool))
    return Head(head.vector, head.ngrams, head.bias - threshold), unseen - threshold


def report(name: str, found: Sequence[Sentence], unseen: Floats) -> None:
    """Print the share of each source's passages, clean or planted, that are over the threshold."""
    passages = {(s.planted, s.source, s.passage) for s in found}
    over = {(s.planted, s.source, s.passage) for s, logit in zip(found, unseen, strict=True) if logit > 0}
    hits = Counter(key[:2] for key in over)
    for (planted, source), rows in sorted(Counter(key[:2] for key in passages).items()):
        print(f"{name}\t{'planted' if planted else 'clean'}\t{source}\t{rows}\t{hits[planted, source] / rows:.1%}")


def build(examples: Sequence[Example], embed: Embed) -> tuple[dict[str, Head], dict[str, object]]:
    """Both heads and the facts that go into the file of weights."""
    passages, found = collect(examples)
    vectors, counts = features(passages, found, embed)
    heads = dict[str, Head]()
    for name, used in (("passage", vectors), ("words", vectors[:, :0])):
        heads[name], unseen = train(found, used, counts)
        report(name, found, unseen)
    sources = dict(sorted(Counter(e.source for e in examples if e.kind in (*PLANTED, "clean")).items()))
    return heads, {"sources": sources, "seed": SEED, "embedding": "all-MiniLM-L6-v2"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of .jsonl files")
    parser.add_argument("--out", type=Path, default=WEIGHTS / "passages.npz")
    args = parser.parse_args()
    embedder = SentenceEmbedder(EmbedConfig())
    embedder.load()
    save(args.out, *build([*read(args.data), *written()], embedder.encode))


if __name__ == "__main__":
    main()
