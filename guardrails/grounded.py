"""How well passages support a sentence: words, numbers, names and negation, and with an embedder meaning too.

Words alone cannot see a paraphrase, and embeddings hardly see a changed number or a lost "not". A logistic regression
weighs both; `train_grounded.py` learned its weights, which name their source.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from guardrails.aligned import FIGURES as ALIGNED
from guardrails.aligned import Embed, aligned
from guardrails.claims import Claim, read
from guardrails.evidence import FIGURES as LEXICAL
from guardrails.evidence import Evidence, closest, evidence, quoted, shared

WEIGHTS = Path(__file__).parent / "weights" / "groundedness.json"
NOT = r"(?:(?:do|does|did|could|can)(?: not|n['’]t)|cannot|can['’]t)\b.{0,40}\b"
ABSTAINS = re.compile(
    rf"\b(?:I|we)\b[^.;:!?]{{0,20}}\b{NOT}(?:know|say|tell|find|answer|help|information)"
    r"|\b(?:documents?|documentation|passages?|sources?|context|text|(?:provided|given|available) information)"
    r"(?: (?:I|we|you|that|have|has|had|been|was|were|given|provided|retrieved|found|above|here|also|simply)){0,7}"
    rf" {NOT}(?:say|tell|find|answer|contain|mention|cover|state|specify|include|provide|describe|explain)"
    r"|\b(?:there is|there's|(?:I|we) (?:have|found|find)) no (?:information|answer|mention)\b",
    re.IGNORECASE,
)
"""Sentences in which the speaker or the documents do not answer: they rest on no passage. One with a digit, be it a
citation's, says more than that."""
DIGIT = re.compile(r"\d")
MIN_WORDS = 3
"""Content words below which a sentence claims too little to be faulted, unless it names a number."""
MAX_CHARACTERS = 2_000
"""Characters of a sentence that are judged."""
NEAR = 3
"""Sentences of the passages that are compared by meaning."""
AGAINST = {"numbers": "number", "names": "name", "sign": "negation"}
"""Figures that name what is missing when they are below 1."""


@dataclass(frozen=True, slots=True)
class Head:
    """A logistic regression over figures from 0 to 1, none of which speaks against support."""

    bias: float
    weights: Mapping[str, float]

    def score(self, figures: Mapping[str, float]) -> float:
        """Probability of support as a share of what full support (every figure 1) gets: 1 for a quotation."""
        full = logistic(self.bias + sum(self.weights.values()))
        return logistic(self.bias + sum(w * figures[name] for name, w in self.weights.items())) / full


def logistic(logit: float) -> float:
    """The logistic function."""
    return 1 / (1 + math.exp(-logit))


@cache
def heads() -> tuple[Head, Head]:
    """The head of the lexical figures alone, and the one of all figures."""
    data = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    lexical, whole = (Head(data[name]["bias"], data[name]["weights"]) for name in ("lexical", "aligned"))
    if tuple(lexical.weights) != LEXICAL or tuple(whole.weights) != LEXICAL + ALIGNED:
        raise ValueError(f"{WEIGHTS.name} was trained on other figures: train it again")
    return lexical, whole


def figures(claim: Claim, known: Sequence[Evidence], embed: Embed | None = None) -> dict[str, float]:
    """What passages share with `claim`, by figure. A quotation has them all, and costs no embedding."""
    if quoted(claim, known):
        return dict.fromkeys(LEXICAL + ALIGNED, 1.0)
    near = closest(claim, known, NEAR)
    lexical = shared(claim, known, near[0] if near else None)
    return lexical if embed is None else lexical | aligned(claim, near, embed)


def groundedness(sentence: str, passages: Sequence[str], embed: Embed | None = None) -> tuple[float, str] | None:
    """Score in [0, 1] how well `passages` support `sentence`, and what speaks against it; None when nothing is claimed.

    `embed` adds the comparison by meaning; it blocks for milliseconds, less for sentences it remembers. Without
    it the words alone are judged. What speaks against it: `number`, `name`, `negation`, joined by commas.
    """
    claim = read(sentence[:MAX_CHARACTERS])
    if not claim.content or (ABSTAINS.search(claim.text) and not DIGIT.search(sentence)):
        return None
    known = [evidence(text) for text in passages]
    slight = len(claim.content) < MIN_WORDS and not claim.numbers
    if slight and not any(claim.content <= e.words for e in known):
        return None
    if not passages:
        return 0.0, ""
    found = figures(claim, known, embed)
    missing = [name for figure, name in AGAINST.items() if found[figure] < 1]
    return round(heads()[embed is not None].score(found), 3), ", ".join(missing)
