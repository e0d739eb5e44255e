"""What passages share with a claim in meaning: its tokens against those of the closest sentences."""

from collections.abc import Callable, Sequence

import numpy as np

from guardrails.claims import STOPWORDS, Claim
from rag.embed import TokenVectors
from rag.rerank import TokenCache, halved

Embed = Callable[[Sequence[str]], Sequence[TokenVectors]]
"""Texts by token, such as `SentenceEmbedder.token_vectors`. Blocks."""
FIGURES = ("mean", "said")
CLOSE = 0.6
"""Similarity from which a token counts as said."""
FUNCTION_WEIGHT = 0.2
"""What a stop word or punctuation counts beside a content word."""


class RememberingEmbed:
    """An Embed that keeps the vectors of recent texts within `limit` bytes: an answer's sentences share passages."""

    def __init__(self, embed: Embed, limit: int = 32_000_000) -> None:
        self.embed = embed
        self.cache = TokenCache(limit)

    def __call__(self, texts: Sequence[str]) -> list[TokenVectors]:
        """The vectors of `texts`, in order; those not kept are embedded in one call."""
        known = {text: self.cache.get(text) for text in texts}
        missing = [text for text, tokens in known.items() if tokens is None]
        fresh = dict(zip(missing, map(halved, self.embed(missing)), strict=True)) if missing else {}
        for text, tokens in fresh.items():
            self.cache.put(text, tokens)
        return [known[text] or fresh[text] for text in texts]


def aligned(claim: Claim, near: Sequence[Claim], embed: Embed) -> dict[str, float]:
    """The `FIGURES` of `claim` against the sentences `near`: mean of its tokens' similarities, share of close ones.

    Both are 0 where there is nothing to compare.
    """
    own, *theirs = embed([claim.text, *(sentence.text for sentence in near)])
    if not len(own.vectors) or not any(len(t.vectors) for t in theirs):
        return dict.fromkeys(FIGURES, 0.0)
    others = np.concatenate([t.vectors for t in theirs]).astype(np.float32)
    similar = (own.vectors.astype(np.float32) @ others.T).max(1)
    words = [claim.text[begin:end].lower() for begin, end in own.spans]
    content = np.array([w not in STOPWORDS and any(map(str.isalnum, w)) for w in words])
    weights = np.where(content, 1.0, FUNCTION_WEIGHT)
    said = similar[content] > CLOSE if content.any() else similar > CLOSE
    return {"mean": max(float(similar @ weights / weights.sum()), 0.0), "said": float(said.mean())}
