"""How well the groundedness score tells supported answers from others, how often it wrongs a quotation, and its cost.

    python -m benchmarks.groundedness --data ../shared/data/groundedness/begin --quotes docs

The folder holds .jsonl files with `knowledge`, `response`, `label` and `fold`. An answer without a score, because it
claims nothing, counts as unsupported. The committed weights may have seen these answers, so the figure of weights that
never saw an answer's knowledge stands beside theirs. `--quotes` takes a folder of Markdown or a corpus.jsonl: each
page's sentences, quoted against the page, are supported by construction.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.intervals import bootstrap
from guardrails.aligned import FIGURES as ALIGNED
from guardrails.aligned import Embed, RememberingEmbed
from guardrails.evidence import FIGURES as LEXICAL
from guardrails.evidence import evidence
from guardrails.grounded import groundedness
from guardrails.train_grounded import Judged, auc, cross_validated, load, measure
from rag.embed import EmbedConfig, SentenceEmbedder
from rag.sentences import sentences

THRESHOLDS = (0.3, 0.5)
QUOTES = 2_000
"""Most quotations that are scored."""


def area(judged: Judged, scores: NDArray[np.float64]) -> dict[str, Any]:
    """ROC AUC with its 95 % interval over answers."""

    def drawn(rows: NDArray[np.int64]) -> float:
        return auc(judged.supported[rows], scores[rows])

    return {"auc": auc(judged.supported, scores), "interval": bootstrap(len(scores), drawn)}


def score_all(judged: Judged, embed: Embed | None) -> tuple[NDArray[np.float64], list[float]]:
    """Each answer's score, 0 where it claims nothing, and the milliseconds it took."""
    scores, spent = [], []
    for response, knowledge in zip(judged.responses, judged.knowledge, strict=True):
        evidence.cache_clear()  # a first sentence meets passages that nobody has read
        begin = time.perf_counter()
        found = groundedness(response, [knowledge], embed)
        spent.append((time.perf_counter() - begin) * 1e3)
        scores.append(found[0] if found else 0.0)
    return np.array(scores), spent


def quotations(path: Path) -> list[tuple[str, str]]:
    """Sentences with the text that each was taken from, evenly over the texts."""
    if path.is_dir():
        texts = [page.read_text(encoding="utf-8") for page in sorted(path.glob("**/*.md"))]
    else:
        texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    found = [
        (text[span.start : span.end], text)
        for text in texts
        for span in sentences(text)
        if span.kind in {"prose", "row"}
    ]
    return found[:: max(1, len(found) // QUOTES)][:QUOTES]


def wronged(path: Path, embed: Embed | None) -> dict[str, Any]:
    """The share of quotations that score below each threshold."""
    scores = [found[0] for quote, text in quotations(path) if (found := groundedness(quote, [text], embed))]
    shares = {str(t): float(np.mean(np.array(scores) < t)) for t in THRESHOLDS}
    return {"quotations": len(scores), "below": shares, "lowest_1_percent": float(np.percentile(scores, 1))}


def measured(judged: Judged, embedder: SentenceEmbedder, quotes: Sequence[Path]) -> dict[str, Any]:
    """Every figure, with words alone and with meaning."""
    x = measure(judged)
    names = LEXICAL + ALIGNED
    out: dict[str, Any] = {"answers": len(x), "supported": int(judged.supported.sum()), "heads": {}}
    for head, used, embed in (
        ("lexical", LEXICAL, None),
        ("aligned", names, RememberingEmbed(embedder.token_vectors, 0)),
    ):
        scores, spent = score_all(judged, embed)
        p50, p95 = np.percentile(spent, [50, 95])
        out["heads"][head] = {
            **area(judged, scores),
            "unseen": area(judged, cross_validated(x[:, : len(used)], judged, used)),
            "flagged": {
                str(t): {
                    "supported": float(np.mean(scores[judged.supported] < t)),
                    "other": float(np.mean(scores[~judged.supported] < t)),
                }
                for t in THRESHOLDS
            },
            "ms_p50": float(p50),
            "ms_p95": float(p95),
            "quotes": {str(path): wronged(path, embed) for path in quotes},
        }
    out["figures"] = {name: auc(judged.supported, x[:, n]) for n, name in enumerate(names)}
    return out


def report(found: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [f"{found['answers']} answers, {found['supported']} supported"]
    for head, row in found["heads"].items():
        low, high = row["interval"]
        unseen, (least, most) = row["unseen"]["auc"], row["unseen"]["interval"]
        lines.append(
            f"{head}: AUC {row['auc']:.3f} ({low:.3f} to {high:.3f}); knowledge unseen in training {unseen:.3f}"
        )
        lines[-1] += f" ({least:.3f} to {most:.3f}); {row['ms_p50']:.1f} ms p50, {row['ms_p95']:.1f} ms p95"
        for limit, share in row["flagged"].items():
            lines.append(
                f"  below {limit}: {share['supported']:.1%} of supported, {share['other']:.1%} of other answers"
            )
        for path, quoted in row["quotes"].items():
            below = ", ".join(f"{share:.2%} below {limit}" for limit, share in quoted["below"].items())
            lines.append(f"  {quoted['quotations']} quotations of {path}: {below}")
    lines += [f"  {name:10} AUC {figure:.3f}" for name, figure in found["figures"].items()]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--quotes", type=Path, action="append", default=[])
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    args = parser.parse_args()
    judged = load(args.data)
    if not judged.responses:
        parser.error(f"--data: no rows in a .jsonl file of {args.data}")
    embedder = SentenceEmbedder(EmbedConfig(threads=1))
    embedder.load()
    found = measured(judged, embedder, args.quotes)
    print(report(found))
    if args.out:
        args.out.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
