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
        self.encode.set_max_batch_size(user_config["max_batch_size"])
        self.encode.set_batch_wait_timeout_s(user_config["batch_wait_timeout_s"])

    @serve.batch(max_batch_size=16, batch_wait_timeout_s=0.0)  # type: ignore[untyped-decorator]
    async def encode(self, requests: list[list[str]]) -> list[list[Embedded]]:
        """One forward pass for all requests that wait."""
        flat = [text for texts in requests for text in texts]
        found = iter(await asyncio.to_thread(self.model.questions, flat))
        return [list(islice(found, len(texts))) for texts in requests]

    async def embed(self, texts: list[str], carrier: dict[str, str]) -> Vector:
        """Return float32 unit vectors of shape (len(texts), d)."""
        with self.tracer.observe(carrier, "embed", "embedding", {"texts": len(texts)}):
            vectors = [one.vector for one in await self.encode(texts)]
            return np.array(vectors, np.float32).reshape(len(texts), self.model.dimensions)

    async def embed_questions(self, texts: list[str], carrier: dict[str, str]) -> list[Embedded]:
        """Return what a search compares of each text."""
        with self.tracer.observe(carrier, "embed", "embedding", {"texts": len(texts)}):
            questions: list[Embedded] = await self.encode(texts)
            return questions

    async def check_health(self) -> None:
        """Alive as long as the event loop runs."""

    def __del__(self) -> None:
        self.tracer.close()
