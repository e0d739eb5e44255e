"""Learns the weights of `grounded.py` from judged answers and writes them, as plain JSON.

    python -m guardrails.train_grounded --data ../shared/data/groundedness/begin --source "BEGIN, development half"

The folder holds .jsonl files with `knowledge`, `response`, `label` and `fold` (folds share no knowledge). The label
"Fully attributable" is support, any other is not.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from guardrails.aligned import FIGURES as ALIGNED
from guardrails.aligned import RememberingEmbed
from guardrails.claims import read
from guardrails.evidence import FIGURES as LEXICAL
from guardrails.evidence import evidence
from guardrails.grounded import WEIGHTS, figures
from rag.embed import EmbedConfig, SentenceEmbedder

Matrix = NDArray[np.float64]
SUPPORTED = "Fully attributable"
DECISIVE = 4.0
"""Least weight of a wrong number or sign, in logits: with either, an otherwise full quotation falls below one half.
Dialogue sets hardly hold such sentences, so they cannot teach it."""
BOUNDS = {"numbers": (DECISIVE, DECISIVE), "sign": (DECISIVE, DECISIVE), "names": (0.0, 3.0)}
"""Least and most of a weight; of the others 0 and no limit. A name may stand in the question alone."""
RIDGE, STEPS = 1.0, 20_000


@dataclass(frozen=True, slots=True)
class Judged:
    """A set of judged answers: texts, whether supported, and folds that share no knowledge."""

    responses: list[str]
    knowledge: list[str]
    supported: NDArray[np.bool_]
    folds: NDArray[np.int64]


def load(folder: Path) -> Judged:
    """Read every .jsonl file of `folder`, in order of name."""
    rows = [
        json.loads(line) for path in sorted(folder.glob("*.jsonl")) for line in path.read_text("utf-8").splitlines()
    ]
    return Judged(
        [row["response"] for row in rows],
        [row["knowledge"] for row in rows],
        np.array([row["label"] == SUPPORTED for row in rows]),
        np.array([row["fold"] for row in rows]),
    )


def measure(judged: Judged) -> Matrix:
    """Every figure of every answer: (n, figures)."""
    embedder = SentenceEmbedder(EmbedConfig(threads=1))
    embedder.load()
    embed = RememberingEmbed(embedder.token_vectors)
    pairs = zip(judged.responses, judged.knowledge, strict=True)
    found = [figures(read(response), [evidence(knowledge)], embed) for response, knowledge in pairs]
    return np.array([[row[name] for name in LEXICAL + ALIGNED] for row in found])


def fit(x: Matrix, y: NDArray[np.bool_], names: Sequence[str]) -> tuple[Matrix, float]:
    """Weights and bias of a ridge logistic regression within `BOUNDS`, by accelerated projected gradient descent."""
    low, high = np.array([BOUNDS.get(name, (0.0, np.inf)) for name in names]).T
    spread = x.std(0) + 1e-9
    design = np.column_stack([(x - x.mean(0)) / spread, np.ones(len(x))])
    least, most = np.append(low * spread, -np.inf), np.append(high * spread, np.inf)
    ridge = np.append(np.full(len(names), RIDGE), 0.0)
    step = 1 / (np.linalg.norm(design, 2) ** 2 / 4 + RIDGE)
    ahead = theta = np.clip(np.zeros(len(ridge)), least, most)
    for n in range(STEPS):
        slope = design.T @ (1 / (1 + np.exp(-design @ ahead)) - y) + ridge * ahead
        new = np.clip(ahead - step * slope, least, most)
        ahead, theta = new + n / (n + 3) * (new - theta), new
    weights = theta[:-1] / spread
    return weights, float(theta[-1] - weights @ x.mean(0))


def auc(y: NDArray[np.bool_], scores: Matrix) -> float:
    """Area under the ROC curve: how often a supported answer scores above an unsupported one, ties half.

    NaN where one of the two is missing.
    """
    if y.all() or not y.any():
        return float("nan")
    order = np.sort(scores[~y])
    above = np.searchsorted(order, scores[y], "left") + np.searchsorted(order, scores[y], "right")
    return float(above.mean() / 2 / len(order))


def cross_validated(x: Matrix, judged: Judged, names: Sequence[str]) -> Matrix:
    """Each answer's logit by weights that never saw its knowledge."""
    out = np.zeros(len(x))
    for fold in np.unique(judged.folds):
        own = judged.folds == fold
        weights, bias = fit(x[~own], judged.supported[~own], names)
        out[own] = x[own] @ weights + bias
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--source", required=True, help="names the data in the file of weights")
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    judged = load(args.data)
    x = measure(judged)
    written: dict[str, object] = {"source": args.source, "rows": len(x)}
    for head, names in (("lexical", LEXICAL), ("aligned", LEXICAL + ALIGNED)):
        part = x[:, : len(names)]
        figure = auc(judged.supported, cross_validated(part, judged, names))
        weights, bias = fit(part, judged.supported, names)
        written[head] = {
            "cross_validated_auc": round(figure, 4),
            "bias": round(bias, 3),
            "weights": {name: round(float(w), 3) for name, w in zip(names, weights, strict=True)},
        }
        print(f"{head}: AUC {figure:.4f} over folds that share no knowledge")
    args.out.write_text(json.dumps(written, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
