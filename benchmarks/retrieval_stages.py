"""Asks every question of a set as production does, and each side of the search alone; notes rankings and times."""

import hashlib
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import numpy as np
import yaml
from pydantic import BaseModel, ConfigDict, Field
from tqdm import tqdm

from benchmarks.retrieval_sets import QuestionSet
from rag.chunk import ChunkConfig, chunk, embedded_text
from rag.embed import EmbedConfig, SentenceEmbedder
from rag.embed_export import VERSION
from rag.errors import InvalidInput
from rag.rerank import RerankConfig, load_reranker
from rag.retrieve import DEPTH, HybridRetriever, RetrieveConfig, entries
from rag.scope import Scope
from rag.sparse import SparseVector, query_vector
from rag.stages import Reranker
from rag.store import Scores, Store, StoreConfig, open_store
from rag.tokens import TokenCache, pack, token_key
from rag.types import Embedded, Hit, Passage, RequestSettings, Vector

STAGES = ("sparse", "dense", "fused", "reranked")
CUT = 10
"""Documents that our measures look at."""
KEPT = 20
"""Documents that are kept, for measures that others published; fewer where the passages asked for hold fewer."""
DEEPEST = 5_000
"""Most passages asked of the store to find CUT documents."""
BATCH = 256
"""Passages embedded at a time."""
CACHED = 8
"""Corpora whose vectors are kept; the least recently used goes first."""
RERANK_CACHE = 1_000_000_000
"""Bytes for token vectors: a passage is read once, as the questions of a set come back to the same ones."""

T = TypeVar("T")


class EvalConfig(BaseModel):
    """The sections of a Serve YAML's `args` that a ranking depends on; it may hold others."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    embed: EmbedConfig = EmbedConfig()
    chunk: ChunkConfig = ChunkConfig()
    retrieve: RetrieveConfig = RetrieveConfig()
    rerank: RerankConfig = RerankConfig()
    store: StoreConfig = StoreConfig()
    depth: int = Field(50, ge=CUT, le=DEEPEST, description="Passages asked of each stage before the reranker.")

    @classmethod
    def load(cls, path: Path) -> "EvalConfig":
        """The settings of the first application in a Serve YAML. Raises InvalidInput."""
        try:
            profile: Any = yaml.safe_load(path.read_text())
            config = cls.model_validate(profile["applications"][0]["args"])
        except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError) as error:
            raise InvalidInput(f"{path}: {error}", "profile") from error
        cache = max(config.rerank.cache_bytes, RERANK_CACHE)
        return config.model_copy(update={"rerank": config.rerank.model_copy(update={"cache_bytes": cache})})


@dataclass(slots=True)
class Run:
    """What was found. `ranked`: stage -> question -> documents, best first. `ms`: stage -> one value a question.

    Only `embed` and `fused` have values of the unanswerable ones. `refused` are the questions that found nothing at the
    configured floor.
    """

    passages: int
    ranked: dict[str, dict[str, list[str]]] = field(default_factory=lambda: {stage: {} for stage in STAGES})
    ms: dict[str, list[float]] = field(default_factory=lambda: {stage: [] for stage in ("embed", *STAGES)})
    refused: set[str] = field(default_factory=set)


async def run(questions: QuestionSet, config: EvalConfig, cache: Path | None) -> Run:
    """Index the documents in a temporary store and ask all questions, one after another. No document is left out."""
    embedder = SentenceEmbedder(config.embed)
    embedder.load()
    passages = cut(questions, config.chunk, embedder)
    tokens = TokenCache(config.rerank.cache_bytes)
    vectors = corpus_vectors(passages, embedder, cache, tokens)
    with TemporaryDirectory(prefix="raglan-eval-") as folder:
        place = config.store.model_copy(update={"kind": "edge", "path": Path(folder) / "index"})
        store = open_store(place, config.embed.dimensions)
        try:
            await write(store, passages, vectors)
            reranker = load_reranker(config.rerank, config.embed, tokens)
            asker = Asker(embedder, tokens, store, reranker, config, Run(len(passages)), holders(passages))
            for key in tqdm(
                [*questions.relevant, *questions.unanswerable], desc="asking", unit=" questions", mininterval=0.5
            ):
                await asker.ask(key, questions.questions[key], ranking=key in questions.relevant)
            return asker.run
        finally:
            await store.close()


def cut(questions: QuestionSet, config: ChunkConfig, embedder: SentenceEmbedder) -> list[Passage]:
    """All passages, as ingestion cuts them; an empty document has none."""
    config = config.model_copy(update={"max_tokens": min(config.max_tokens, embedder.max_tokens)})
    documents = tqdm(questions.documents, desc="cutting", unit=" documents", mininterval=0.5)
    return [passage for document in documents for passage in chunk(document, config, embedder.count_tokens)]


def corpus_vectors(
    passages: Sequence[Passage], embedder: SentenceEmbedder, cache: Path | None, tokens: TokenCache
) -> Vector:
    """The passages' vectors, kept in the folder `cache` under a hash of the texts and the embedder's settings.

    Where they are made anew, `tokens` gets those by token.
    """
    texts = [embedded_text(passage) for passage in passages]
    digest = hashlib.sha256(f"{VERSION} {embedder.config.model_dump_json()}".encode())
    for text in texts:
        digest.update(hashlib.sha256(text.encode()).digest())
    kept = cache / f"{digest.hexdigest()[:32]}.npy" if cache else None
    if kept and kept.exists():
        kept.touch()
        return np.asarray(np.load(kept), np.float32)
    vectors = np.empty((len(texts), embedder.dimensions), np.float32)
    order = sorted(range(len(texts)), key=lambda n: len(texts[n]))
    with tqdm(total=len(texts), desc="embedding", unit=" passages", mininterval=0.5) as progress:
        for begin in range(0, len(texts), BATCH):
            rows = order[begin : begin + BATCH]
            vectors[rows] = embedded([texts[n] for n in rows], embedder, tokens)
            progress.update(len(rows))
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, vectors)
        for old in sorted(kept.parent.glob("*.npy"), key=lambda path: -path.stat().st_mtime)[CACHED:]:
            old.unlink()
    return vectors


def embedded(texts: Sequence[str], embedder: SentenceEmbedder, tokens: TokenCache) -> Vector:
    """The texts' vectors; `tokens` gets those by token of the same forward passes."""
    vectors, by_token = embedder.encode_with_tokens(texts)
    for text, found in zip(texts, by_token, strict=True):
        tokens.put(token_key(embedder.config.model, text), pack(found))
    return vectors


async def write(store: Store, passages: Sequence[Passage], vectors: Vector) -> None:
    """Store everything, a document never parted between two writes: the second would replace the first."""
    begin = 0
    with tqdm(total=len(passages), desc="indexing", unit=" passages", mininterval=0.5) as progress:
        for n, passage in enumerate(passages, 1):
            last = n == len(passages)
            if last or (n - begin >= BATCH and passage.document_id != passages[n].document_id):
                await store.write(entries(passages[begin:n], vectors[begin:n]), settle=False)
                progress.update(n - begin)
                begin = n
    await store.settle()


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks one question at a time and writes what it finds into `run`; `holders` are the documents of each text."""

    embedder: SentenceEmbedder
    tokens: TokenCache
    store: Store
    reranker: Reranker
    config: EvalConfig
    run: Run
    holders: dict[str, list[str]]

    async def ask(self, key: str, question: str, ranking: bool) -> None:
        """Whether the floor refuses the question, and with `ranking` what each stage finds."""
        [compared] = await self._timed("embed", self.embedder.embed_questions([question]))
        asked = self.config.retrieve.defaults("", "")
        retriever = HybridRetriever(self.store)
        if not await self._timed("fused", retriever.retrieve(question, compared.vector, asked)):
            self.run.refused.add(key)
        if ranking:
            await self._rank(key, question, compared, asked)

    async def _rank(self, key: str, question: str, compared: Embedded, asked: RequestSettings) -> None:
        """What each stage finds. The store has no search without the vector: `sparse` is timed with both sides."""
        search = partial(self.store.search, compared.vector, scope=Scope(asked.tenant, asked.groups, asked.filter))
        self.run.ranked["sparse"][key] = await self._alone("sparse", partial(search, query_vector(question)))
        self.run.ranked["dense"][key] = await self._alone("dense", partial(search, SparseVector()))
        fused = await self._fused(question, compared.vector, asked)
        self.run.ranked["fused"][key] = self._documents(hit.passage for hit in fused)
        looked = fused[: asked.candidates]
        chosen = replace(asked, min_score=0.0, top_k=len(looked))
        self._know(looked)
        best = await self._timed("reranked", self.reranker.rerank(question, looked, chosen, compared.tokens))
        self.run.ms["reranked"][-1] += self.run.ms["fused"][-1]
        self.run.ranked["reranked"][key] = self._documents(hit.passage for hit in [*best, *fused[len(looked) :]])

    def _know(self, hits: Sequence[Hit]) -> None:
        """Make the hits' token vectors before the clock runs, as an index holds them."""
        model = self.embedder.config.model
        texts = dict.fromkeys(embedded_text(hit.passage) for hit in hits)
        if unknown := [text for text in texts if self.tokens.get(token_key(model, text)) is None]:
            embedded(unknown, self.embedder, self.tokens)

    async def _alone(self, stage: str, search: Callable[[int], Awaitable[tuple[Scores, Scores]]]) -> list[str]:
        """The documents by one side's own scores; of a search that goes deeper, as in `_fused`, the first is timed."""
        limit = max(DEPTH, self.config.depth)
        dense, sparse = await self._timed(stage, search(limit))
        while True:
            side = sparse if stage == "sparse" else dense
            documents = self._documents(await self.store.fetch(list(side)))
            if len(documents) >= CUT or len(side) < limit or limit >= DEEPEST:
                return documents
            limit *= 2
            dense, sparse = await search(limit)

    async def _fused(self, question: str, vector: Vector, asked: RequestSettings) -> list[Hit]:
        """What the retriever finds without its floor; deeper while CUT documents are not together."""
        settings = replace(asked, min_score=0.0, candidates=self.config.depth)
        while True:
            hits = await HybridRetriever(self.store).retrieve(question, vector, settings)
            enough = len(self._documents(hit.passage for hit in hits)) >= CUT or len(hits) < settings.candidates
            if enough or settings.candidates >= DEEPEST:
                return hits
            settings = replace(settings, candidates=settings.candidates * 2)

    async def _timed(self, stage: str, work: Awaitable[T]) -> T:
        begin = time.perf_counter()
        result = await work
        self.run.ms[stage].append((time.perf_counter() - begin) * 1e3)
        return result

    def _documents(self, passages: Iterable[Passage]) -> list[str]:
        """The first KEPT documents, each where its best passage stands; a text stands for all that hold it."""
        found = (name for p in passages for name in (p.document_id, *self.holders[p.text]))
        return list(dict.fromkeys(found))[:KEPT]


def holders(passages: Sequence[Passage]) -> dict[str, list[str]]:
    """The documents that hold each passage's text: a search gives equal texts only once."""
    out: dict[str, list[str]] = defaultdict(list)
    for passage in passages:
        out[passage.text].append(passage.document_id)
    return out
