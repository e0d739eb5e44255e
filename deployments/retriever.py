"""Hybrid search, upsert and delete. One replica when the store is embedded: it holds the store."""

import asyncio
import logging

from deployments.logs import log_to_serve
from deployments.placement import stand_at
from deployments.tracing import TracingConfig, make_tracer
from guardrails.mask import mask
from rag.retrieve import HybridRetriever
from rag.serving import ServingStore
from rag.store import StoreConfig
from rag.types import DocumentInfo, Hit, Passage, RequestSettings, Vector

log = logging.getLogger(__name__)


class Retriever:
    """Opens the collection's current index version, or an empty one, and follows when another is promoted."""

    async def __init__(  # type: ignore[misc]  # Serve awaits it
        self, store: StoreConfig, dimensions: int, tracing: TracingConfig, site: str | None
    ) -> None:
        """`site` is where the documents must stay; None: this cluster has one site."""
        stand_at(site)
        log_to_serve()
        self.tracer = make_tracer(tracing, mask)
        self.store = ServingStore(store, dimensions)
        await self.store.open()
        if not await self.documents("default"):
            log.warning("The index is empty. `make index` fills it from docs/; POST /v1/documents adds to it.")
        self.following = asyncio.create_task(self._follow(store.refresh_s))

    async def retrieve(
        self, question: str, vector: Vector, settings: RequestSettings, carrier: dict[str, str]
    ) -> list[Hit]:
        """Return at most `settings.candidates` hits, best first."""
        with self.tracer.observe(carrier, "retrieve", "retriever", question) as observation:
            async with self.store.reading() as store:
                hits = await HybridRetriever(store).retrieve(question, vector, settings)
            observation.end(hits)
            return hits

    async def upsert(self, passages: list[Passage], vectors: Vector, groups: tuple[str, ...] | None = None) -> None:
        """Replace these documents, if `groups` may read them (None: any); durable and searchable on return."""
        async with self.store.writing() as store:
            await HybridRetriever(store).upsert(passages, vectors, groups)

    async def delete(self, document_id: str, tenant: str, groups: tuple[str, ...] = ()) -> bool:
        """Remove a document's passages, if `groups` may read them."""
        async with self.store.writing() as store:
            return await HybridRetriever(store).delete(document_id, tenant, groups)

    async def documents(self, tenant: str, groups: tuple[str, ...] = ()) -> list[DocumentInfo]:
        """List the tenant's documents that `groups` may read."""
        async with self.store.reading() as store:
            return await HybridRetriever(store).documents(tenant, groups)

    async def hidden(self, ids: list[str], tenant: str, groups: tuple[str, ...] = ()) -> list[str]:
        """Those of `ids` that are documents which `groups` may not read."""
        async with self.store.reading() as store:
            return await HybridRetriever(store).hidden(ids, tenant, groups)

    async def ready(self) -> None:
        """Ask the store for next to nothing. Raises StageUnavailable while its Qdrant server cannot be reached."""
        await self.hidden([""], "default")

    async def check_health(self) -> None:
        """Alive as long as the event loop runs: no new replica brings a Qdrant server back."""

    def __del__(self) -> None:
        self.tracer.close()

    async def _follow(self, every_s: float) -> None:
        """Look for a newly promoted version, for ever; a failure is logged and tried again."""
        while True:
            await asyncio.sleep(every_s)
            try:
                if await self.store.follow():
                    log.info("Index version %s serves now.", self.store.version)
            except Exception:
                log.exception("The promoted index version could not be taken up; the one before it serves on.")
