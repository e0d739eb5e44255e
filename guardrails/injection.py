"""How much a conversation looks like an attack on the prompt (jailbreak, injection, extraction), or asks for harm.

Trained linear heads over the question's vector and its n-grams judge it. The n-grams are read in every stretch of all
user messages and of what they hide in an encoding; the suspicious stretches are embedded too, all at once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from guardrails.decode import decoded
from guardrails.linear import Head, load
from guardrails.normalise import normalise
from guardrails.windows import margins, windows
from rag.types import Vector

Embed = Callable[[Sequence[str]], Vector]
"""Texts to float32 unit vectors (n, d)."""

MAX_EMBEDDED = 3
"""Stretches that are embedded beside the question, whose vector is at hand: about 15 ms of one core each."""
SUSPICIOUS = 2.5
"""What a stretch's n-grams must add up to for it to be embedded: 99 % of attacks' do, 5 % of ordinary ones'."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A score in [0, 1], where 0.5 is the recommended threshold, and the part of the conversation that earned it."""

    score: float
    where: str = "question"


class Classifier:
    """The trained heads. Where vectors are not the `bundled` embedding model's, n-grams judge alone."""

    def __init__(self, bundled: bool = True) -> None:
        heads = load("injection")
        self.bundled = bundled
        self.attack = heads["attack" if bundled else "attack_words"]
        self.harm = heads["harm" if bundled else "harm_words"]

    def injection(self, text: str, earlier: Sequence[str], vector: Vector, embed: Embed) -> Scored:
        """Score the attack in `text`, the last user message, whose vector is `vector`, after the `earlier` ones.

        The greatest score of any stretch counts. `embed` is called at most once, for at most MAX_EMBEDDED texts, and
        not at all for an ordinary question.
        """
        question = normalise(text)
        head = windows(len(question))[:1]
        [score] = self.judge(self.attack, vector[None], self.attack.lexical(question, head) - margins(head))
        best = Scored(float(score))
        suspects = self.suspects(question, [normalise(message) for message in earlier], decoded(text))
        if not suspects:
            return best
        lexical = np.array([weight for weight, _, _ in suspects])
        lexical -= margins([(0, len(stretch)) for _, stretch, _ in suspects])
        vectors = embed([stretch for _, stretch, _ in suspects]) if self.bundled else vector[None]
        scores = self.judge(self.attack, vectors, lexical)
        top = int(scores.argmax())
        return max(best, Scored(float(scores[top]), suspects[top][2]), key=lambda scored: scored.score)

    def suspects(self, question: str, earlier: Sequence[str], hidden: Sequence[str]) -> list[tuple[float, str, str]]:
        """The stretches beside the question's head that may hide an attack, worst first: weight, text, where it is."""
        texts = [(question, "window", 1), *((text, "decoded", 0) for text in hidden)]
        if earlier:
            texts += [(text, "conversation", 0) for text in (*earlier, " ".join([*earlier, question]))]
        found = list[tuple[float, str, str]]()
        for text, where, skip in texts:
            stretches = windows(len(text))[skip:]
            if not stretches:
                continue
            weights = self.attack.lexical(text, stretches)
            found += [
                (float(w), text[a:b], where) for w, (a, b) in zip(weights, stretches, strict=True) if w > SUSPICIOUS
            ]
        return sorted(found, reverse=True)[:MAX_EMBEDDED]

    def harmful(self, text: str, vector: Vector) -> Scored:
        """Score how much `text`, whose vector is `vector`, asks for what does harm, with or without an attack."""
        question = normalise(text)
        head = windows(len(question))[:1]
        [score] = self.judge(self.harm, vector[None], self.harm.lexical(question, head) - margins(head))
        return Scored(float(score))

    def judge(self, head: Head, vectors: Vector, lexical: NDArray[np.float64]) -> NDArray[np.float64]:
        """The head's scores; a head of n-grams alone is given vectors of no length."""
        return head.score(vectors if self.bundled else vectors[:1, :0].repeat(len(lexical), 0), lexical)
