"""Linear heads over a sentence vector and hashed n-grams: what a trained check is made of. Loading runs no code."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from guardrails.ngrams import weigh, weigh_each
from rag.types import Vector

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True, slots=True)
class Head:
    """`vector` weighs the bundled embedding model's vector, `ngrams` each bucket; `bias` puts the threshold at 0.5."""

    vector: NDArray[np.float32]
    ngrams: NDArray[np.float32]
    bias: float

    def lexical(self, text: str, stretches: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
        """What the n-grams of each stretch of the normalised `text` add up to."""
        return weigh(text, self.ngrams, list(stretches))

    def lexical_each(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """What the n-grams of each whole normalised text add up to."""
        return weigh_each(list(texts), self.ngrams)

    def score(self, vectors: Vector, lexical: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores in [0, 1] of n vectors (n, d) and what `lexical` gave for their texts (n,)."""
        return np.asarray(1 / (1 + np.exp(-np.clip(vectors @ self.vector + lexical + self.bias, -30, 30))))


def load(name: str) -> dict[str, Head]:
    """The heads of `weights/<name>.npz` by their names. Raises ValueError when the file holds objects to unpickle."""
    with np.load(WEIGHTS / f"{name}.npz", allow_pickle=False) as file:
        names = json.loads(str(file["about"]))["heads"]
        return {
            head: Head(
                file[f"{head}.vector"].astype(np.float32),
                file[f"{head}.ngrams"].astype(np.float32) * np.float32(file[f"{head}.scale"]),
                float(file[f"{head}.bias"]),
            )
            for head in names
        }


def about(name: str) -> dict[str, Any]:
    """What `weights/<name>.npz` says of itself: its heads, its sources with their rows, the seed."""
    with np.load(WEIGHTS / f"{name}.npz", allow_pickle=False) as file:
        return dict(json.loads(str(file["about"])))


def save(path: Path, heads: dict[str, Head], facts: dict[str, Any]) -> None:
    """Write heads, their n-gram weights in steps of 1/127 of the largest, and what is to be known about them."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, head in heads.items():
        scale = float(np.abs(head.ngrams).max()) / 127 or 1.0
        arrays[f"{name}.vector"] = head.vector.astype(np.float32)
        arrays[f"{name}.ngrams"] = np.round(head.ngrams / scale).astype(np.int8)
        arrays[f"{name}.scale"] = np.array(scale)
        arrays[f"{name}.bias"] = np.array(head.bias)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"heads": list(heads), **facts})
    np.savez_compressed(path, allow_pickle=False, about=np.array(text), **arrays)
