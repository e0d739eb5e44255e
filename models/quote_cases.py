"""Held-out cases for measuring the demo model: evidence, question and the answer owed, as text.

Sentences and code come from files the model was not trained on; made-up lines from a seed that training never uses.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from models.quote_prompt import right_answer, user_message
from models.quote_synthetic import synthetic_line
from models.quote_text import MAX_WORDS, MIN_WORDS, Corpus, read_corpus

SEED = 20_000
WORD_BUCKET = 10


@dataclass(frozen=True)
class Case:
    """One prompt: `evidence` holds (citation number, line), the line to quote first."""

    evidence: tuple[tuple[int, str], ...]
    question: str

    @property
    def prompt(self) -> str:
        return user_message(self.evidence, self.question)

    @property
    def answer(self) -> str:
        return right_answer(self.evidence)


def _by_length(sentences: list[str]) -> list[list[str]]:
    """Return the sentences in buckets of ten words, so that long ones are drawn as often as short ones."""
    buckets: list[list[str]] = [[] for _ in range(MAX_WORDS // WORD_BUCKET)]
    for sentence in sentences:
        words = len(sentence.split())
        if MIN_WORDS <= words <= MAX_WORDS:
            buckets[min(words, MAX_WORDS - 1) // WORD_BUCKET].append(sentence)
    return [bucket for bucket in buckets if bucket]


def _cases(rng: random.Random, count: int, first: Callable[[], str], other: Callable[[], str]) -> list[Case]:
    cases = []
    for _ in range(count):
        lines = [first(), *(other() for _ in range(rng.randint(0, 5)))]
        numbers = rng.sample(range(1, 13), len(lines))
        words = rng.choice(lines).split()
        start = rng.randrange(len(words))
        question = f"What about {' '.join(words[start : start + 4])}?"
        cases.append(Case(tuple(zip(numbers, lines, strict=True)), question))
    return cases


def natural_cases(held: Corpus, count: int) -> list[Case]:
    """Return `count` cases of held-out sentences; the quoted one's length is spread evenly over 5 to 60 words."""
    rng = random.Random(SEED)
    buckets = _by_length(held.sentences)
    return _cases(rng, count, lambda: rng.choice(rng.choice(buckets)), lambda: rng.choice(held.sentences))


def code_cases(held: Corpus, count: int) -> list[Case]:
    """Return `count` cases of held-out code lines and, as many, made-up paths, numbers, names and symbols."""
    rng = random.Random(SEED + 1)

    def line() -> str:
        return rng.choice(held.code) if rng.random() < 0.5 else synthetic_line(rng, rng.randint(1, 6))

    return _cases(rng, count, line, line)


def held_out_corpus(root: Path) -> Corpus:
    """Return the corpus the bundled checkpoint was not trained on, as installed with this interpreter."""
    return read_corpus(root, seed=0)[1]
