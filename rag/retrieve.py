"""Hybrid search, dense and BM25 fused by their standardised scores, and the upkeep of what is searched."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from rag.chunk import embedded_text
from rag.document_scores import document_scores, standard
from rag.errors import IdTaken
from rag.payload import point_id
from rag.scope import Scope
from rag.sparse import SparseVector, document_vector, query_vector, terms
from rag.stages import Library
from rag.store import Entry, Groups, Owner, Scores, Store
from rag.types import DocumentInfo, Hit, Passage, RequestSettings, Vector

DEPTH = 100
"""Passages asked of each side at least: the more are known, the better standardising knows a typical score, and the
documents' scores what speaks for each."""
LOOKED_AT = 10
"""Hits that may lift a question over the floor."""


class RetrieveConfig(BaseModel):
    """What a request retrieves when it does not say otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    candidates: int = Field(20, ge=1, le=200, description="Passages given to the reranker.")
    per_document: int = Field(
        3, ge=0, le=200, description="Most candidates from one document; 0: as many as there are."
    )
    top_k: int = Field(4, ge=1, le=50, description="Passages that the answer may rest on.")
    dense_weight: float = Field(
        0.5, ge=0, le=1, description="Share of the dense side in the fused score; the rest is BM25's."
    )
    rerank: bool = Field(True, description="Whether the reranker looks at the candidates.")
    rerank_weight: float = Field(
        0.5, ge=0, le=1, description="Share of the reranker in the final score; the rest is the first stage's."
    )
    rerank_budget_ms: float = Field(
        2_000,
        ge=0,
        description="Longest wait for the reranker, in milliseconds; after it the first stage's order stands and the "
        "response says so. 0: as long as any stage.",
    )
    min_score: float = Field(
        0.35,
        ge=0,
        le=1,
        description="Least relevance of the best passage: the mean of its cosine and of the share of the question's "
        "terms it holds. Under it nothing is found, and the answer is that the documents do not say.",
    )

    def defaults(self, model: str, prompt: str) -> RequestSettings:
        """The settings of a request that says nothing itself."""
        return RequestSettings(model, prompt, **self.model_dump())


class HybridRetriever:
    """The Retriever and the Library role on one store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def retrieve(self, question: str, vector: Vector, settings: RequestSettings) -> list[Hit]:
        """Return at most `settings.candidates` hits, best first; none when all are under `settings.min_score`."""
        hits = await self.find(vector, query_vector(question), settings)
        return hits if relevant(question, hits, settings.min_score) else []

    async def find(self, vector: Vector, terms: SparseVector, settings: RequestSettings) -> list[Hit]:
        """`retrieve` without its floor, for a question's vectors."""
        depth = max(DEPTH, settings.candidates)
        scope = Scope(settings.tenant, settings.groups, settings.filter)
        dense, sparse = await self._store.search(vector, terms, depth, scope)
        fused = fuse(dense, sparse, settings.dense_weight)
        owners = await self._store.owners(list(fused))
        ranked = with_documents(fused, owners)
        passages: dict[str, Passage | None] = {}
        while True:
            chosen = distinct(ranked, owners, passages, settings)
            missing = [key for key in chosen if key not in passages]
            if not missing:
                found = ((passages[key], key) for key in chosen)
                return [Hit(passage, ranked[key], dense.get(key), sparse.get(key)) for passage, key in found if passage]
            fetched = await self._store.fetch(missing)
            passages |= dict.fromkeys(missing) | {point_id(passage): passage for passage in fetched}

    async def upsert(self, passages: Sequence[Passage], vectors: Vector, groups: Groups = None) -> None:
        """Replace the documents these passages belong to; they are searchable and durable on return.

        Raises IdTaken, and stores nothing, where one is there already that `groups` may not read (None: any may be).
        """
        await refuse_hidden(self, passages, groups)
        await self._store.write(await asyncio.to_thread(entries, passages, vectors))

    async def delete(self, document_id: str, tenant: str, groups: Groups = ()) -> bool:
        """Remove a document's passages; False when there were none that `groups` may read."""
        return await self._store.delete(document_id, tenant, groups)

    async def documents(self, tenant: str, groups: Groups = ()) -> list[DocumentInfo]:
        """List the tenant's documents that `groups` may read, ordered by id."""
        return await self._store.documents(tenant, groups)

    async def hidden(self, ids: Sequence[str], tenant: str, groups: Groups = ()) -> list[str]:
        """Those of `ids` that are documents which `groups` may not read."""
        return await self._store.hidden(ids, tenant, groups)


async def refuse_hidden(library: Library, passages: Sequence[Passage], groups: Groups) -> None:
    """Raise IdTaken where a passage's document is there already and `groups` may not read it (None: any)."""
    for tenant in {passage.tenant for passage in passages} if groups is not None else ():
        ids = sorted({passage.document_id for passage in passages if passage.tenant == tenant})
        if await library.hidden(ids, tenant, groups or ()):
            raise IdTaken("an id is taken by a document of another group", "documents")


def entries(passages: Sequence[Passage], vectors: Vector) -> list[Entry]:
    """What the store writes; BM25 reads the same text that was embedded."""
    return [Entry(p, v, document_vector(embedded_text(p))) for p, v in zip(passages, vectors, strict=True)]


def relevant(question: str, hits: Sequence[Hit], floor: float) -> bool:
    """Whether one of the first hits is worth `floor`: half its cosine plus half the share of the question's terms.

    `make eval SUITE=handbook` prints how often a floor refuses what can be answered, and what cannot.
    """
    asked = frozenset(terms(question))
    for hit in hits[:LOOKED_AT]:
        shared = len(asked.intersection(terms(embedded_text(hit.passage)))) / max(len(asked), 1)
        if (max(hit.dense or 0.0, 0.0) + shared) / 2 >= floor:
            return True
    return False


def fuse(dense: Scores, sparse: Scores, dense_weight: float) -> Scores:
    """Weighted sum of the two sides' z-scores, in no order; who is missing on a side gets that side's minimum.

    Standardising keeps the distances that ranks lose: nDCG@10 .886 on SQuAD against .835 for reciprocal ranks. It is
    done here and not by the engine's own fusion, since the floor needs the raw scores, which that does not return.
    Passages that share no term have a BM25 score of 0: they count too, or the only one with a rare term gains nothing.
    """
    ids = dense | sparse
    words = standardised(sparse, ids, at_least=len(dense))
    fused = dense_weight * standardised(dense, ids) + (1 - dense_weight) * words
    return dict(zip(ids, fused.tolist(), strict=True))


def with_documents(fused: Scores, owners: Mapping[str, Owner]) -> Scores:
    """Each passage's score with its document's added, both standardised, best first; without those of no owner."""
    own = {key: owners[key] for key in fused if key in owners}
    if not own:
        return {}
    scores = np.array([fused[key] for key in own])
    documents = document_scores(scores, [o.document for o in own.values()], [o.passages for o in own.values()])
    total = standard(scores) + standard(documents)
    return dict(sorted(zip(own, total.tolist(), strict=True), key=lambda one: -one[1]))


def distinct(
    ranked: Iterable[str],
    owners: Mapping[str, Owner],
    passages: Mapping[str, Passage | None],
    settings: RequestSettings,
) -> list[str]:
    """The `settings.candidates` best, each text once, and of a document no more than `settings.per_document`.

    A passage that was not fetched yet counts as a text of its own, one that is gone (None) as nothing.
    """
    chosen: list[str] = []
    texts: set[str] = set()
    per_document: Counter[str] = Counter()
    for key in ranked:
        document = owners[key].document
        if per_document[document] == (settings.per_document or None):
            continue
        if key in passages:
            passage = passages[key]
            if passage is None or passage.text in texts:
                continue
            texts.add(passage.text)
        per_document[document] += 1
        chosen.append(key)
        if len(chosen) == settings.candidates:
            break
    return chosen


def standardised(scores: Scores, keys: Iterable[str], at_least: int = 0) -> NDArray[np.float64]:
    """The scores of `keys` in standard deviations of the known ones; the unknown get the lowest known one.

    Where fewer than `at_least` are known, the others are known to be 0.
    """
    known = np.array([*scores.values(), *[0.0] * (at_least - len(scores))] or [0.0])
    lowest = known.min()
    filled = np.array([scores.get(key, lowest) for key in keys])
    return np.asarray((filled - known.mean()) / (known.std() + 1e-9))
