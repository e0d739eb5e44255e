"""A closer look at the hits, and at their sentences."""

from deployments.logs import log_to_serve
from deployments.tracing import TracingConfig, make_tracer
from guardrails.mask import mask
from rag.collection import Collection, state_folder
from rag.embed import EmbedConfig
from rag.rerank import RerankConfig, load_reranker
from rag.store import StoreConfig
from rag.token_files import TokenFiles
from rag.types import Hit, RequestSettings, TokenVectors


class Reranker:
    """Holds the weights, and the bounded cache of token vectors where it keeps one."""

    def __init__(self, config: RerankConfig, embed: EmbedConfig, store: StoreConfig, tracing: TracingConfig) -> None:
        """The token vectors that the ingest job made are read from `store.path`, where this node sees that folder."""
        log_to_serve()
        self.tracer = make_tracer(tracing, mask)
        collection = Collection(state_folder(store.path, store.url), store.collection)
        self.reranker = load_reranker(config, embed, TokenFiles(collection))

    async def rerank(
        self,
        question: str,
        hits: list[Hit],
        settings: RequestSettings,
        tokens: TokenVectors | None,
        carrier: dict[str, str],
    ) -> list[Hit]:
        """Return at most `settings.top_k` hits, best first, with their sentences scored."""
        with self.tracer.observe(carrier, "rerank", "retriever", {"hits": len(hits)}) as observation:
            ranked = await self.reranker.rerank(question, hits, settings, tokens)
            observation.end(ranked)
            return ranked

    async def check_health(self) -> None:
        """Alive as long as the event loop runs."""

    def __del__(self) -> None:
        self.tracer.close()
