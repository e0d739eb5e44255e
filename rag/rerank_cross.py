"""Reranking by a cross-encoder that reads question and passage together: any sentence-transformers one."""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from rag.chunk import embedded_text
from rag.document_scores import standard
from rag.rerank import RerankConfig
from rag.types import Hit, RequestSettings, TokenVectors

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder


class CrossEncoderReranker:
    """The Reranker role. Construct cheaply, then `load()` once; safe to call from threads.

    It scores no sentences: prompts that quote some choose them by shared words.
    """

    def __init__(self, config: RerankConfig) -> None:
        self._config = config
        self._model: CrossEncoder | None = None
        self._one_at_a_time = threading.Lock()

    def load(self) -> None:
        """Load the weights onto the configured device, or onto the GPU where there is one."""
        from sentence_transformers import CrossEncoder

        self._model = CrossEncoder(self._config.model, device=self._config.device)

    async def rerank(
        self, question: str, hits: Sequence[Hit], settings: RequestSettings, tokens: TokenVectors | None = None
    ) -> list[Hit]:
        """Return at most `settings.top_k` of `hits`, best first, with `rerank` set to the model's own score.

        It has no use for `tokens`, which are another model's.
        """
        return await asyncio.to_thread(self.score, question, hits, settings.rerank_weight, settings.top_k)

    def score(self, question: str, hits: Sequence[Hit], weight: float, top_k: int) -> list[Hit]:
        """`rerank`, blocking. `weight` is the model's share of the new score; both sides are standardised first."""
        if self._model is None:
            raise RuntimeError("CrossEncoderReranker.load() comes first")
        if not hits:
            return []
        pairs = [(question, embedded_text(hit.passage)) for hit in hits]
        with self._one_at_a_time:
            scores = np.asarray(
                self._model.predict(pairs, batch_size=self._config.batch_size, show_progress_bar=False), np.float64
            )
        first = np.array([hit.score for hit in hits])
        blended = (1 - weight) * standard(first) + weight * standard(scores)
        kept = np.argsort(-blended, kind="stable")[:top_k]
        return [replace(hits[n], score=float(blended[n]), rerank=float(scores[n])) for n in kept]
