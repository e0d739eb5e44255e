"""Late interaction over the embedder's own token vectors (MaxSim), blended with the first stage's scores."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from rag.chunk import embedded_text
from rag.document_scores import standard
from rag.embed import EmbedConfig, SentenceEmbedder
from rag.sentence_scores import REMEMBERED, Asked, Evidence, score_sentences
from rag.sparse import STOPWORDS, terms
from rag.stages import Reranker
from rag.tokens import KnownTokens, PackedTokens, TokenCache, pack, token_key
from rag.types import Hit, RequestSettings, TokenVectors

DEVICE = r"^(cpu|cuda(:\d+)?|mps)$"
SHARPNESS = 3
"""Power of a token's similarity in MaxSim: one close match counts more than several loose ones."""
PAIRS, FEEDBACK, BEST = 2.0, 0.4, 3
"""Weights of the shared term pairs, and of the likeness to the mean of the `BEST` passages. With `SHARPNESS` chosen for
nDCG@10 on Cranfield (.565 without them, .578 with), SQuAD 2.0 (.902, .906) and pages of the Ray documentation."""
STOP_WEIGHT = 0.2
"""What a stop word or punctuation of the question counts beside a content word."""


class RerankConfig(BaseModel):
    """Which reranker, and what it may use."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["maxsim", "cross-encoder"] = Field(
        "maxsim",
        description="'maxsim': late interaction over the embedder's own token vectors; 'cross-encoder': `model`.",
    )
    model: str = Field("", description="A sentence-transformers cross-encoder's id or path; kind 'cross-encoder' only.")
    device: str | None = Field(
        None, pattern=DEVICE, description="Torch device of the cross-encoder; null: a GPU where there is one."
    )
    batch_size: int = Field(32, ge=1, le=1024, description="Most pairs in one forward pass of the cross-encoder.")
    cache_bytes: int = Field(
        128_000_000, ge=0, description="Memory for the token vectors of passages seen before, in bytes."
    )

    @model_validator(mode="after")
    def _cross_encoder_has_model(self) -> Self:
        if self.kind == "cross-encoder" and not self.model:
            raise ValueError("model: kind 'cross-encoder' needs one")
        return self


def load_reranker(config: RerankConfig, embed: EmbedConfig, files: KnownTokens | None = None) -> Reranker:
    """The configured reranker with its weights loaded; `embed` is the model whose token vectors MaxSim compares.

    `files` hold those of passages that were embedded before.
    """
    if config.kind == "cross-encoder":
        from rag.rerank_cross import CrossEncoderReranker

        cross = CrossEncoderReranker(config)
        cross.load()
        return cross
    model = SentenceEmbedder(embed)
    model.load()
    return MaxSimReranker(model, config, files)


class MaxSimReranker:
    """The Reranker role. `embedder` is loaded by whoever owns it; safe to call from threads."""

    def __init__(self, embedder: SentenceEmbedder, config: RerankConfig, files: KnownTokens | None = None) -> None:
        self._embedder = embedder
        self._cache = TokenCache(config.cache_bytes)
        self._files = files

    async def rerank(
        self, question: str, hits: Sequence[Hit], settings: RequestSettings, tokens: TokenVectors | None = None
    ) -> list[Hit]:
        """Return at most `settings.top_k` of `hits`, best first, with `rerank` and `sentences` set.

        Without `tokens` the question costs a forward pass.
        """
        return await asyncio.to_thread(self.score, question, hits, settings.rerank_weight, settings.top_k, tokens)

    def score(
        self, question: str, hits: Sequence[Hit], weight: float, top_k: int, tokens: TokenVectors | None = None
    ) -> list[Hit]:
        """`rerank`, blocking. `weight` is the share of the closer look in the new score; 0 keeps the order of `hits`.

        The closer look is MaxSim (Khattab and Zaharia 2020) over sharpened similarities and the question's term pairs
        (Metzler and Croft 2005), then a step towards the best passages (pseudo-relevance feedback, Rocchio 1971).
        """
        if not hits:
            return []
        asked = ask(question, tokens or self._embedder.token_vectors([question])[0])
        passages = self._tokens(hits)
        similar, sums = compare(asked, passages)
        best = [s.max(1, initial=0.0) for s in similar]
        maxsim = np.array([asked.weights @ b for b in best])
        sharp = np.array([asked.weights @ b**SHARPNESS for b in best])
        pairs = np.array([shared_pairs(question, text) for text in map(text_of, hits)])
        first = np.array([hit.score for hit in hits])
        blended = (1 - weight) * standard(first) + weight * (standard(sharp) + PAIRS * pairs)
        blended = standard(blended) + weight * FEEDBACK * standard(like_the_best(blended, sums))
        kept = np.argsort(-blended, kind="stable")[:top_k]
        quotes = score_sentences(
            asked, [Evidence(hits[n], similar[n], passages[n].spans, float(maxsim[n])) for n in kept]
        )
        return [
            replace(hits[n], score=float(blended[n]), rerank=float(maxsim[n]), sentences=found)
            for n, found in zip(kept, quotes, strict=True)
        ]

    def _tokens(self, hits: Sequence[Hit]) -> list[PackedTokens]:
        """Each hit by token: from the index's files, as met before, or by a forward pass."""
        texts = {token_key(self._embedder.config.model, text): text for text in map(text_of, hits)}
        known = {key: self._known(key) for key in texts}
        if missing := [key for key, tokens in known.items() if tokens is None]:
            fresh = self._embedder.token_vectors([texts[key] for key in missing])
            for key, tokens in zip(missing, map(pack, fresh), strict=True):
                known[key] = tokens
                self._cache.put(key, tokens)
        by_text = {texts[key]: tokens for key, tokens in known.items() if tokens}
        return [by_text[text] for text in map(text_of, hits)]

    def _known(self, key: bytes) -> PackedTokens | None:
        return self._cache.get(key) or (self._files.get(key) if self._files else None)


def ask(question: str, tokens: TokenVectors) -> Asked:
    """The question as its passages are compared with it."""
    words = [question[start:end].lower() for start, end in tokens.spans]
    weights = np.array([token_weight(word) for word in words], np.float32)
    return Asked(tokens.vectors, weights / (weights.sum() or 1.0), tuple(dict.fromkeys(terms(question))))


def compare(asked: Asked, passages: Sequence[PackedTokens]) -> tuple[list[NDArray[np.float32]], NDArray[np.float32]]:
    """Each passage's token similarities (question, passage), and the sums of their token vectors (n, d)."""
    question = np.ascontiguousarray(asked.vectors.T)  # this way round the product takes two thirds of the time
    similar, sums = [], []
    for passage in passages:
        vectors = passage.vectors.astype(np.float32)
        similar.append((vectors @ question).T * passage.scales)
        sums.append(passage.scales @ vectors)
    return similar, np.array(sums)


def text_of(hit: Hit) -> str:
    """What was embedded for the hit's passage."""
    return embedded_text(hit.passage)


@lru_cache(maxsize=REMEMBERED)
def neighbours(text: str) -> frozenset[tuple[str, str]]:
    """The pairs of index terms that stand side by side in `text`."""
    return frozenset(pairwise(terms(text)))


def shared_pairs(question: str, text: str) -> float:
    """The share of the question's neighbouring index terms that also stand side by side in `text`."""
    asked = frozenset(pairwise(terms(question)))
    return len(asked & neighbours(text)) / max(len(asked), 1)


def like_the_best(scores: NDArray[np.float64], sums: NDArray[np.float32]) -> NDArray[np.float64]:
    """Cosine of each passage's mean token vector to the mean of those of the `BEST` highest `scores`.

    `sums`, (n, d), are those of each passage's token vectors.
    """
    means = sums / (np.linalg.norm(sums, axis=1, keepdims=True) + 1e-9)
    return np.asarray(means @ means[np.argsort(-scores)[:BEST]].mean(0))


def token_weight(word: str) -> float:
    """Stop words and punctuation of a question say little of what it is about."""
    return STOP_WEIGHT if word in STOPWORDS or not any(map(str.isalnum, word)) else 1.0
