"""What passages share with a claim in meaning: its tokens against those of the closest sentences."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence

import numpy as np

from guardrails.claims import STOPWORDS, Claim
from rag.types import TokenVectors

Embed = Callable[[Sequence[str]], Sequence[TokenVectors]]
"""Texts by token, such as `SentenceEmbedder.token_vectors`. Blocks."""
FIGURES = ("mean", "said")
CLOSE = 0.6
"""Similarity from which a token counts as said."""
FUNCTION_WEIGHT = 0.2
"""What a stop word or punctuation counts beside a content word."""


class RememberingEmbed:
    """An Embed that keeps the vectors of the last `limit` texts: an answer's sentences share their passages.

    In half precision that is about 25 kB for a sentence of 30 tokens of the bundled model.
    """

    def __init__(self, embed: Embed, limit: int = 1_000) -> None:
        self.embed = embed
        self.limit = limit
        self.kept: OrderedDict[str, TokenVectors] = OrderedDict()
        self.lock = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> list[TokenVectors]:
        """The vectors of `texts`, in order; those not kept are embedded in one call."""
        with self.lock:
            known = {text: self.kept[text] for text in texts if text in self.kept}
        missing = [text for text in dict.fromkeys(texts) if text not in known]
        for text, tokens in zip(missing, self.embed(missing) if missing else (), strict=True):
            known[text] = TokenVectors(tokens.vectors.astype(np.float16), tokens.spans)
        with self.lock:
            self.kept.update(known)
            for text in known:
                self.kept.move_to_end(text)
            while len(self.kept) > self.limit:
                self.kept.popitem(last=False)
        return [known[text] for text in texts]


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
