"""Texts to unit vectors: what waits at the same moment is encoded in one batch."""

import asyncio
import logging
from itertools import islice
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from ray import serve

from deployments.logs import log_to_serve
from deployments.tracing import TracingConfig, make_tracer
from guardrails.mask import mask
from rag.embed import EmbedConfig, SentenceEmbedder
from rag.types import Embedded, Vector

log = logging.getLogger("raglan.deployments")


class Batches(BaseModel):
    """The Embedder's `user_config`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_batch_size: int = Field(16, ge=1)
    batch_wait_timeout_s: float = Field(0.0, ge=0)


BATCHES = Batches()


class Embedder:
    """Holds the weights. Its `user_config` are Batches."""

    def __init__(self, config: EmbedConfig, tracing: TracingConfig) -> None:
        log_to_serve()
        self.tracer = make_tracer(tracing, mask)
        self.model = SentenceEmbedder(config)
        self.model.load()

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """What cannot be used is told in the log, and the batches stay as they are: an error would end the replica."""
        try:
            batches = Batches.model_validate(user_config)
        except ValidationError as error:
            log.error("user_config of the Embedder: %s", error)
            return
        self.encode.set_max_batch_size(batches.max_batch_size)
        self.encode.set_batch_wait_timeout_s(batches.batch_wait_timeout_s)

    @serve.batch(max_batch_size=BATCHES.max_batch_size, batch_wait_timeout_s=BATCHES.batch_wait_timeout_s)  # type: ignore[untyped-decorator]
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
