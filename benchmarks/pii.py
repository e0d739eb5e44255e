"""How exactly secrets and personal data are found: precision, recall and F1 of each kind that is masked by default.

    python -m benchmarks.pii --data ../shared/data/pii/presidio --clean docs

The folder holds .jsonl files with `text` and `spans` of `type`, `start` and `end`. A found span counts when a labelled
one of its kind overlaps it by at least half of what the two cover together, each paired once; strictly, when both have
the same edges. Labels of other kinds, such as names, are left out. `--clean` counts what is masked in texts that are
taken to hold nothing: a folder of Markdown, or a corpus.jsonl.
"""

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.arguments import existing
from benchmarks.intervals import bootstrap
from guardrails.mask import find

KIND = {
    "email": ("EMAIL_ADDRESS", "EMAIL"),
    "phone": ("PHONE_NUMBER", "PHONENUMBER", "PHONE", "TELEPHONE", "TELEPHONENUM", "FAX_NUMBER"),
    "card": ("CREDIT_CARD", "CREDITCARD", "CREDIT_CARD_NUMBER", "CREDITCARDNUMBER"),
    "iban": ("IBAN_CODE", "IBAN"),
    "ip": ("IP_ADDRESS", "IPADDRESS", "IP", "IPV4", "IPV6"),
    "ssn": ("US_SSN", "SSN", "SOCIALNUM", "SOCIAL_SECURITY_NUMBER"),
    "secret": ("SECRET", "URL_SECRET", "API_KEY", "PASSWORD"),
}
"""Kinds of the masker by the labels that public sets use."""
LABELS = {label: kind for kind, labels in KIND.items() for label in labels}
SECRET = {"private key", "token", "credentials"}
MEASURES = ("precision", "recall", "f1")
HALF = 0.5
PASSAGE = 1_000
"""Characters that are counted as one passage of a clean text."""
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one row and kind: labelled, found, and found rightly, by overlap and strictly."""

    labelled: int = 0
    found: int = 0
    right: int = 0
    exact: int = 0


def overlap(a: Span, b: Span) -> float:
    """Characters in both spans as a share of those in either."""
    both = min(a[1], b[1]) - max(a[0], b[0])
    return max(both, 0) / (max(a[1], b[1]) - min(a[0], b[0]))


def count(labelled: Sequence[Span], found: Sequence[Span]) -> Counts:
    """Pair the spans of one kind, closest first, each once."""
    pairs = sorted(((overlap(a, b), a, b) for a in labelled for b in found), reverse=True)
    taken: set[tuple[str, Span]] = set()
    right = 0
    for share, a, b in pairs:
        if share >= HALF and not {("labelled", a), ("found", b)} & taken:
            taken |= {("labelled", a), ("found", b)}
            right += 1
    return Counts(len(labelled), len(found), right, len(set(labelled) & set(found)))


def by_kind(row: dict[str, Any]) -> dict[str, Counts]:
    """A row's counts of every kind."""
    labelled: dict[str, list[Span]] = {kind: [] for kind in KIND}
    found: dict[str, list[Span]] = {kind: [] for kind in KIND}
    for span in row["spans"]:
        if kind := LABELS.get(span["type"].upper()):
            labelled[kind].append((span["start"], span["end"]))
    for hit in find(row["text"]):
        found["secret" if hit.kind in SECRET else hit.kind].append((hit.start, hit.end))
    return {kind: count(labelled[kind], found[kind]) for kind in KIND}


def scores(right: float, found: float, labelled: float) -> dict[str, float]:
    """Precision, recall and F1; NaN where there is nothing to divide by."""
    nan = float("nan")
    f1 = 2 * right / (found + labelled) if found + labelled else nan
    return {"precision": right / found if found else nan, "recall": right / labelled if labelled else nan, "f1": f1}


def figures(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """The scores of each kind that is labelled or found, with 95 % intervals over rows."""
    counted = [by_kind(row) for row in rows]
    out: dict[str, dict[str, Any]] = {}
    for kind in KIND:
        table = np.array([[c[kind].right, c[kind].found, c[kind].labelled, c[kind].exact] for c in counted])
        right, found, labelled, exact = (int(n) for n in table.sum(0))
        if not found + labelled:
            continue
        out[kind] = {"labelled": labelled, **scores(right, found, labelled)}
        out[kind]["strict_f1"] = scores(exact, found, labelled)["f1"]
        out[kind] |= {f"{name}_interval": interval(table, name) for name in MEASURES}
    return out


def interval(table: NDArray[np.int64], measure: str) -> list[float]:
    """The 95 % interval of a measure over rows of counts."""
    return bootstrap(len(table), lambda rows: scores(*table[rows, :3].sum(0))[measure])


def masked_in_clean(path: Path) -> dict[str, Any]:
    """What is masked in texts that hold nothing, by kind and for each 1,000 passages."""
    if path.is_dir():
        texts = [page.read_text(encoding="utf-8") for page in sorted(path.glob("**/*.md"))]
    else:
        texts = [json.loads(line)["text"] for line in path.read_text(encoding="utf-8").splitlines()]
    kinds = Counter(hit.kind for text in texts for hit in find(text))
    passages = sum(-(-len(text) // PASSAGE) for text in texts)
    return {"passages": passages, "masks_per_1000": 1000 * kinds.total() / max(passages, 1), "kinds": dict(kinds)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--clean", type=existing, action="append", default=[])
    parser.add_argument("--out", type=Path, help="write the figures here as JSON")
    args = parser.parse_args(arguments)
    files = sorted(args.data.glob("**/*.jsonl"))
    rows = [json.loads(line) for path in files for line in path.read_text(encoding="utf-8").splitlines()]
    if not rows:
        parser.error(f"--data: no rows in a .jsonl file of {args.data}")
    found = figures(rows)
    print(f"{len(rows)} texts; a span counts when it overlaps a labelled one by half of their union")
    for kind, row in found.items():
        parts = [
            f"{name} {row[name]:.3f} ({row[f'{name}_interval'][0]:.3f} to {row[f'{name}_interval'][1]:.3f})"
            for name in MEASURES
        ]
        print(f"{kind:8}{row['labelled']:5} labelled  {'  '.join(parts)}  strict f1 {row['strict_f1']:.3f}")
    clean = {str(path): masked_in_clean(path) for path in args.clean}
    for path, figure in clean.items():
        share = f"{figure['masks_per_1000']:.2f} masks in 1,000 passages of {PASSAGE} characters"
        print(f"{path}: {share} {figure['kinds']}")
    if args.out:
        args.out.write_text(json.dumps({"rows": len(rows), "kinds": found, "clean": clean}, indent=2) + "\n")


if __name__ == "__main__":
    main()
