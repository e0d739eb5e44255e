"""Late interaction over the embedder's own token vectors (MaxSim), blended with the first stage's scores.

It also scores every sentence of the passages it keeps: how well it would answer the question by itself.
"""

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from rag.chunk import embedded_prefix, embedded_text
from rag.document_scores import standard
from rag.embed import EmbedConfig, SentenceEmbedder, TokenVectors
from rag.sentences import Kind, sentences
from rag.sparse import STOPWORDS, terms
from rag.stages import Reranker
from rag.tokens import KnownTokens, PackedTokens, TokenCache, pack, token_key
from rag.types import Hit, RequestSettings, Sentence

DEVICE = r"^(cpu|cuda(:\d+)?|mps)$"
SHARPNESS = 3
"""Power of a token's similarity in MaxSim: one close match counts more than several loose ones."""
PAIRS, FEEDBACK, BEST = 2.0, 0.4, 3
"""Weights of the shared term pairs, and of the likeness to the mean of the `BEST` passages. With `SHARPNESS` chosen for
nDCG@10 on Cranfield (.565 without them, .578 with), SQuAD 2.0 (.902, .906) and pages of the Ray documentation."""
STOP_WEIGHT = 0.2
"""What a stop word or punctuation of the question counts beside a content word."""
PENALTY: dict[Kind, float] = {
    "prose": 0.0,
    "long": 0.1,
    "row": 0.12,
    "intro": 0.2,
    "heading": 0.25,
    "question": 0.25,
    "fragment": 0.25,
}
"""What is taken off a sentence that makes a poor quotation."""
CLOSE, SHARED, PASSAGE, HEADING = 0.31, 0.19, 0.19, 0.31
"""Shares in a sentence's score of its closeness to the question, the words they share, its passage, and its heading.
Chosen on 60 questions about the handbook: the best sentence answers 80 %, and 87 % find it on the expected page."""


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


@dataclass(frozen=True, slots=True)
class Asked:
    """A question by token, each with its weight (they sum to 1), and its index terms."""

    vectors: NDArray[np.float32]
    weights: NDArray[np.float32]
    terms: tuple[str, ...]


class MaxSimReranker:
    """The Reranker role. `embedder` is loaded by whoever owns it; safe to call from threads."""

    def __init__(self, embedder: SentenceEmbedder, config: RerankConfig, files: KnownTokens | None = None) -> None:
        self._embedder = embedder
        self._cache = TokenCache(config.cache_bytes)
        self._files = files

    async def rerank(self, question: str, hits: Sequence[Hit], settings: RequestSettings) -> list[Hit]:
        """Return at most `settings.top_k` of `hits`, best first, with `rerank` and `sentences` set."""
        return await asyncio.to_thread(self.score, question, hits, settings.rerank_weight, settings.top_k)

    def score(self, question: str, hits: Sequence[Hit], weight: float, top_k: int) -> list[Hit]:
        """`rerank`, blocking. `weight` is the share of the closer look in the new score; 0 keeps the order of `hits`.

        The closer look is MaxSim (Khattab and Zaharia 2020) over sharpened similarities and the question's term pairs
        (Metzler and Croft 2005), then a step towards the best passages (pseudo-relevance feedback, Rocchio 1971).
        """
        if not hits:
            return []
        asked = self._ask(question)
        tokens = self._tokens(hits)
        similar = [asked.vectors @ t.vectors.T for t in tokens]
        best = [s.max(1, initial=0.0) for s in similar]
        maxsim = np.array([asked.weights @ b for b in best])
        sharp = np.array([asked.weights @ b**SHARPNESS for b in best])
        pairs = np.array([shared_pairs(question, text) for text in map(text_of, hits)])
        first = np.array([hit.score for hit in hits])
        blended = (1 - weight) * standard(first) + weight * (standard(sharp) + PAIRS * pairs)
        blended = standard(blended) + weight * FEEDBACK * standard(like_the_best(blended, tokens))
        kept = np.argsort(-blended, kind="stable")[:top_k]
        quotes = score_sentences(asked, [Evidence(hits[n], similar[n], tokens[n], float(maxsim[n])) for n in kept])
        return [
            replace(hits[n], score=float(blended[n]), rerank=float(maxsim[n]), sentences=found)
            for n, found in zip(kept, quotes, strict=True)
        ]

    def _ask(self, question: str) -> Asked:
        [tokens] = self._embedder.token_vectors([question])
        words = [question[start:end].lower() for start, end in tokens.spans]
        weights = np.array([token_weight(word) for word in words], np.float32)
        return Asked(tokens.vectors, weights / (weights.sum() or 1.0), tuple(dict.fromkeys(terms(question))))

    def _tokens(self, hits: Sequence[Hit]) -> list[TokenVectors]:
        """Each hit by token: from the index's files, as met before, or by a forward pass."""
        texts = {token_key(self._embedder.config.model, text): text for text in map(text_of, hits)}
        known = {key: self._known(key) for key in texts}
        if missing := [key for key, tokens in known.items() if tokens is None]:
            fresh = self._embedder.token_vectors([texts[key] for key in missing])
            for key, tokens in zip(missing, map(pack, fresh), strict=True):
                known[key] = tokens
                self._cache.put(key, tokens)
        by_text = {texts[key]: tokens.unpack() for key, tokens in known.items() if tokens}
        return [by_text[text] for text in map(text_of, hits)]

    def _known(self, key: bytes) -> PackedTokens | None:
        return self._cache.get(key) or (self._files.get(key) if self._files else None)


def text_of(hit: Hit) -> str:
    """What was embedded for the hit's passage."""
    return embedded_text(hit.passage)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A kept hit with what was measured of it: token similarities (question, passage), its tokens, its MaxSim."""

    hit: Hit
    similar: NDArray[np.float32]
    tokens: TokenVectors
    maxsim: float


def score_sentences(asked: Asked, evidence: Sequence[Evidence]) -> list[tuple[Sentence, ...]]:
    """Each hit's sentences with their scores, from 0 to 1 for what can be quoted.

    A score adds MaxSim over the sentence's own tokens, its share of the question's index terms (rare ones count more),
    the passage's MaxSim and how much its headings speak of the question, less what makes it a poor quotation.
    """
    spans = [sentences(item.hit.passage.text) for item in evidence]
    found = [
        [frozenset(terms(item.hit.passage.text[span.start : span.end])) for span in group]
        for item, group in zip(evidence, spans, strict=True)
    ]
    rarity = term_rarity(asked.terms, [words for group in found for words in group])
    out = []
    for item, group, having in zip(evidence, spans, found, strict=True):
        shift = len(embedded_prefix(item.hit.passage))
        starts, ends = item.tokens.spans[:, 0] - shift, item.tokens.spans[:, 1] - shift
        opening = group[0].end if group and group[0].kind == "heading" else 0
        heading = item.similar[:, ends <= opening].max(0, initial=0.0)
        common = PASSAGE * item.maxsim + HEADING * (float(heading.mean()) if heading.size else 0.0)
        scored = []
        for span, words in zip(group, having, strict=True):
            inside = item.similar[:, (starts >= span.start) & (ends <= span.end)]
            close = float(asked.weights @ inside.max(1, initial=0.0))
            shared = sum(share for term, share in rarity.items() if term in words)
            scored.append(Sentence(span.start, span.end, common + CLOSE * close + SHARED * shared - PENALTY[span.kind]))
        out.append(tuple(scored))
    return out


def shared_pairs(question: str, text: str) -> float:
    """The share of the question's neighbouring index terms that also stand side by side in `text`."""
    asked = set(pairwise(terms(question)))
    return len(asked.intersection(pairwise(terms(text)))) / max(len(asked), 1)


def like_the_best(scores: NDArray[np.float64], tokens: Sequence[TokenVectors]) -> NDArray[np.float64]:
    """Cosine of each passage's mean token vector to the mean of those of the `BEST` highest `scores`."""
    means = np.array([t.vectors.sum(0) for t in tokens], np.float64)
    means /= np.linalg.norm(means, axis=1, keepdims=True) + 1e-9
    return np.asarray(means @ means[np.argsort(-scores)[:BEST]].mean(0))


def term_rarity(asked: Sequence[str], having: Sequence[frozenset[str]]) -> dict[str, float]:
    """The question's terms, each with its share of their total rarity among the sentences; shares sum to 1."""
    rarity = {term: math.log1p(len(having) / (1 + sum(term in words for words in having))) for term in asked}
    total = sum(rarity.values()) or 1.0
    return {term: value / total for term, value in rarity.items()}


def token_weight(word: str) -> float:
    """Stop words and punctuation of a question say little of what it is about."""
    return STOP_WEIGHT if word in STOPWORDS or not any(map(str.isalnum, word)) else 1.0
