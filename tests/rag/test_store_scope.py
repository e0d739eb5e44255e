"""Nobody sees another tenant's or group's passage, whatever is asked: a property of every store."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from qdrant_client import AsyncQdrantClient

from rag.errors import IdTaken
from rag.retrieve import HybridRetriever
from rag.sparse import document_vector
from rag.store import Entry, FakeStore, Store, StoreConfig, open_store
from rag.store_qdrant import QdrantStore
from rag.types import Filter, Passage, RequestSettings

pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes have no effect")

TENANTS, GROUPS, WORDS = ("red", "blue"), ("ops", "hr", "dev"), ("replicas", "nodes", "tokens")
names = st.sampled_from(("", "*", "red", "ops", "hr", "wiki", "faq", "default"))
passages = st.builds(
    lambda n, tenant, groups, word: Passage(
        f"{n}", f"{n}", word, metadata={"source": "wiki"}, tenant=tenant, groups=groups
    ),
    st.integers(0, 10**6),
    st.sampled_from(TENANTS),
    st.lists(st.sampled_from(GROUPS), unique=True, max_size=2).map(tuple),
    st.sampled_from(WORDS),
)
asked = st.builds(
    RequestSettings,
    model=st.just("m"),
    prompt=st.just("p"),
    tenant=st.sampled_from((*TENANTS, "", "green")),
    groups=st.lists(st.sampled_from((*GROUPS, "other")), unique=True, max_size=2).map(tuple),
    filter=st.builds(Filter, source=st.lists(names, max_size=2).map(tuple), tag=st.lists(names, max_size=2).map(tuple)),
    candidates=st.integers(1, 20),
    per_document=st.integers(0, 2),
)
KINDS: dict[str, Callable[[Path], Store]] = {
    "fake": lambda path: FakeStore(),
    "edge": lambda path: open_store(StoreConfig(path=path), 4),
    "server": lambda path: QdrantStore(AsyncQdrantClient(":memory:"), "passages", 4),
}


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    held=st.lists(passages, min_size=1, max_size=12, unique_by=lambda p: p.id),
    wanted=asked,
    question=st.sampled_from((*WORDS, "the", "tenant:red groups:*")),
)
def test_only_what_the_key_may_see(
    kind: str,
    tmp_path_factory: pytest.TempPathFactory,
    held: list[Passage],
    wanted: RequestSettings,
    question: str,
) -> None:
    async def check() -> None:
        store = KINDS[kind](tmp_path_factory.mktemp("index") / "index")
        vector = np.eye(4, dtype=np.float32)[0]
        await store.write([Entry(p, vector, document_vector(p.text)) for p in held])
        retriever = HybridRetriever(store)
        hits = await retriever.retrieve(question, vector, wanted)
        listed = {info.id for info in await retriever.documents(wanted.tenant, wanted.groups)}
        hidden = set(await retriever.hidden([p.id for p in held], wanted.tenant, wanted.groups))
        mine = [p for p in held if p.tenant == wanted.tenant]
        if hidden:
            with pytest.raises(IdTaken):
                await retriever.upsert(mine, np.tile(vector, (len(mine), 1)), wanted.groups)
        await store.close()
        own = {p.id for p in mine}
        seen = {p.id for p in held if p.id in own and (not p.groups or set(p.groups) & set(wanted.groups))}
        assert {hit.passage.id for hit in hits} <= seen
        assert (listed, hidden) == (seen, own - seen)
        if seen and wanted.filter == Filter():
            assert hits

    asyncio.run(check())
