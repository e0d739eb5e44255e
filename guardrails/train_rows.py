"""What the injection classifier learns from: rows of .jsonl files, sentences written by hand, and the handbook."""

import json
import random
import re
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

WRITTEN = Path(__file__).with_name("train_examples.yaml")
ROOT = Path(__file__).resolve().parent.parent
HANDBOOK_WEIGHT = 4.0
"""Of a question about the handbook: it is what users of a fresh Raglan ask, and full of an attack's words."""
HELD_OUT = 5
"""One in so many of the handbook's questions is kept for measurements."""
SEED = 20_261_125
FOLDS = 5
ATTACKS = ("jailbreak", "injection", "extraction")
KINDS = (*ATTACKS, "harm", "benign", "steer", "request", "clean")
"""`steer` and `request` are what is planted in passages; `clean` are passages in which nothing is."""
SLOT = re.compile(r"\{(\w+)\}")
WRITTEN_WEIGHT = 0.3
"""Of a hand-written sentence, on average, beside 1 of a public one. All templates of a kind weigh alike."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text of one kind. Examples of the same `fold` are judged by heads that have seen none of them.

    Benign ones with a fold of their own are the ordinary questions by which thresholds are chosen.
    """

    text: str
    kind: str
    source: str
    fold: int | None = None
    weight: float = 1.0


def read(folder: Path) -> Iterator[Example]:
    """The rows of every .jsonl file below `folder`: `text`, `kind` of KINDS, `source`, and maybe `fold` and `weight`.

    Raises ValueError that names the file and line of a row that is no such thing.
    """
    for path in sorted(folder.rglob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                example = Example(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise ValueError(f"{path}, line {number}: {error}") from error
            if example.kind not in KINDS:
                raise ValueError(f"{path}, line {number}: '{example.kind}' is no kind")
            yield example


def written() -> Iterator[Example]:
    """The sentences drawn from the templates of WRITTEN, always the same ones."""
    known: dict[str, Any] = yaml.safe_load(WRITTEN.read_text(encoding="utf-8"))
    rng, earlier = random.Random(SEED), set[str]()
    for kind, group in known["kinds"].items():
        templates = group["templates"]
        seen = dict[str, int]()
        for _ in range(3 * group["draws"]):
            at = rng.randrange(len(templates))
            if (text := drawn(templates[at], known["slots"], rng)) not in earlier:
                seen.setdefault(text, at)
            if len(seen) == group["draws"]:
                break
        earlier |= seen.keys()
        share, each = WRITTEN_WEIGHT * len(seen) / len(templates), Counter(seen.values())
        for text, at in seen.items():
            yield Example(text, group.get("as", kind), f"written/{kind}", None, share / each[at])


def handbook(root: Path = ROOT) -> Iterator[Example]:
    """Harmless words on prompts, guards and refusals: the handbook's sentences and questions that are not held out."""
    for page in sorted((root / "docs").glob("*.md")):
        for line in page.read_text(encoding="utf-8").splitlines():
            if line[:1].isalpha() and line.endswith("."):
                yield Example(line, "benign", "written/handbook")
    for path in sorted((root / "benchmarks").glob("handbook*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            text = json.loads(line)["question"]
            if not held_out(text):
                yield Example(text, "benign", "written/handbook", None, HANDBOOK_WEIGHT)


def held_out(question: str) -> bool:
    """Whether a question of the handbook is learned from by nobody."""
    return zlib.crc32(question.encode()) % HELD_OUT == 0


def drawn(template: str, slots: dict[str, list[str]], rng: random.Random) -> str:
    """`template` with every slot filled, also those within a filling."""
    text = template
    while SLOT.search(text):
        text = SLOT.sub(lambda match: rng.choice(slots[match[1]]), text)
    text = re.sub(r" +", " ", text).strip()
    text = re.sub(r" ([.,?!:])", r"\1", text)
    return text[:1].upper() + text[1:] if rng.random() < 0.7 else text
