"""Passages are scored when they are stored, for instructions to the model that would read them; none is left out.

What scores them is a role: it is passed in, or named as MODULE:NAME where a command line or a Ray job makes it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib import import_module

from rag.errors import InvalidInput
from rag.stages import Scanner
from rag.types import Passage, Vector

DEFAULT_SCANNER = "guardrails.passage_scores:PassageScores"
SUSPICIOUS = 0.5
"""Score from which a passage is told of when it is stored. Whether an answer may rest on it is for the policy."""
DIGITS = 4

Embed = Callable[[Sequence[str]], Vector]
MakeScanner = Callable[[Embed, bool], Scanner]
"""Takes what embeds further texts, and whether that is the bundled model."""


def as_read(title: str, headings: Sequence[str], text: str) -> str:
    """A passage as it is judged: all of it that an engine may read, line by line."""
    return "\n".join((title, *headings, text))


def find_scanner(spec: str) -> MakeScanner | None:
    """What `spec`, MODULE:NAME, names; None when it is empty. Raises InvalidInput when there is no such thing."""
    if not spec:
        return None
    module, _, name = spec.partition(":")
    try:
        found: MakeScanner = getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise InvalidInput(f"there is no scanner {spec!r}: {error}", "scanner") from error
    return found


def scores(texts: Sequence[str], vectors: Vector, scanner: Scanner | None) -> list[dict[str, float]]:
    """For each passage, as `as_read` gives it, what is to be kept as its scores. Blocks."""
    if scanner is None or not texts:
        return [{} for _ in texts]
    return [{scanner.name: round(score, DIGITS)} for score in scanner.scan(texts, vectors)]


def scanned(passages: Sequence[Passage], vectors: Vector, scanner: Scanner | None) -> list[Passage]:
    """The passages with their scores; `vectors` (n, d) are their own. Blocks."""
    found = scores([as_read(p.title, p.headings, p.text) for p in passages], vectors, scanner)
    return [replace(passage, scores=one) for passage, one in zip(passages, found, strict=True)]


def suspicion(found: Mapping[str, float]) -> float | None:
    """The worst of a passage's scores, when that is to be told."""
    worst = max(found.values(), default=0.0)
    return worst if worst >= SUSPICIOUS else None
