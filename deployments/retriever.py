"""Hybrid search, upsert and delete. One replica when the store is embedded: it holds the store."""

import logging

from deployments.tracing import TracingConfig, make_tracer
from guardrails.mask import mask
from rag.retrieve import HybridRetriever
from rag.store import StoreConfig, open_store
from rag.types import DocumentInfo, Hit, Passage, RequestSettings, Vector

log = logging.getLogger("ray.serve")


class Retriever:
    """Opens the store, or makes an empty one."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, store: StoreConfig, dimensions: int, tracing: TracingConfig
    ) -> None:
        self.tracer = make_tracer(tracing, mask)
        self.retriever = HybridRetriever(open_store(store, dimensions))
        if not await self.retriever.documents("default"):
            log.warning("The index is empty. `make index` fills it from docs/; POST /v1/documents adds to it.")

    async def retrieve(
        self, question: str, vector: Vector, settings: RequestSettings, carrier: dict[str, str]
    ) -> list[Hit]:
        """Return at most `settings.candidates` hits, best first."""
        with self.tracer.observe(carrier, "retrieve", "retriever", question) as observation:
            hits = await self.retriever.retrieve(question, vector, settings)
            observation.end(hits)
            return hits

    async def upsert(self, passages: list[Passage], vectors: Vector) -> None:
        """Replace these documents; durable and searchable on return."""
        await self.retriever.upsert(passages, vectors)

    async def delete(self, document_id: str, tenant: str) -> bool:
        """Remove a document's passages."""
        return await self.retriever.delete(document_id, tenant)

    async def documents(self, tenant: str) -> list[DocumentInfo]:
        """List the tenant's documents."""
        return await self.retriever.documents(tenant)

    async def check_health(self) -> None:
        """Alive as long as the event loop runs."""

    def __del__(self) -> None:
        self.tracer.close()
