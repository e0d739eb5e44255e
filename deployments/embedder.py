"""Texts to unit vectors: what waits at the same moment is encoded in one batch."""

import asyncio
from itertools import islice
from typing import Any

import numpy as np
from ray import serve

from deployments.logs import log_to_serve
from deployments.tracing import TracingConfig, make_tracer
from guardrails.mask import mask
from rag.embed import EmbedConfig, SentenceEmbedder
from rag.types import Embedded, Vector


class Embedder:
    """Holds the weights. `user_config`: max_batch_size, batch_wait_timeout_s."""

    def __init__(self, config: EmbedConfig, tracing: TracingConfig) -> None:
        log_to_serve()
        self.tracer = make_tracer(tracing, mask)
        self.model = SentenceEmbedder(config)
        self.model.load()

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        for batched in (self.encode, self.encode_questions):
            batched.set_max_batch_size(user_config["max_batch_size"])
            batched.set_batch_wait_timeout_s(user_config["batch_wait_timeout_s"])

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.0)  # type: ignore[untyped-decorator]
    async def encode(self, requests: list[list[str]]) -> list[Vector]:
        """One forward pass for all requests that wait."""
        flat = [text for texts in requests for text in texts]
        vectors = await asyncio.to_thread(self.model.encode, flat)
        return np.split(vectors, np.cumsum([len(texts) for texts in requests])[:-1])

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.0)  # type: ignore[untyped-decorator]
    async def encode_questions(self, requests: list[list[str]]) -> list[list[Embedded]]:
        """One forward pass for all questions that wait."""
        flat = [text for texts in requests for text in texts]
        questions = iter(await asyncio.to_thread(self.model.questions, flat))
        return [list(islice(questions, len(texts))) for texts in requests]

    async def embed(self, texts: list[str], carrier: dict[str, str]) -> Vector:
        """Return float32 unit vectors of shape (len(texts), d)."""
        with self.tracer.observe(carrier, "embed", "embedding", {"texts": len(texts)}):
            vectors: Vector = await self.encode(texts)
            return vectors

    async def embed_questions(self, texts: list[str], carrier: dict[str, str]) -> list[Embedded]:
        """Return what a search compares of each text."""
        with self.tracer.observe(carrier, "embed", "embedding", {"texts": len(texts)}):
            questions: list[Embedded] = await self.encode_questions(texts)
            return questions

    async def check_health(self) -> None:
        """Alive as long as the event loop runs."""

    def __del__(self) -> None:
        self.tracer.close()
