"""The serving store follows the switch between index versions, takes the uploads with it, and loses none."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import numpy as np
import pytest

from rag.collection import Collection
from rag.errors import NotFound
from rag.serving import ServingStore
from rag.sparse import document_vector
from rag.store import Entry, Store, StoreConfig, StoreMismatch, open_store
from rag.types import Passage
from tests.rag.conftest import make_version

TENANT = "default"


def entry(document: str, text: str = "words", origin: str = "api", groups: tuple[str, ...] = ()) -> Entry:
    metadata = {"origin": origin} if origin else {}
    passage = Passage(f"{document}:0", document, text, metadata=metadata, tenant=TENANT, groups=groups)
    return Entry(passage, np.array([1, 0, 0, 0], np.float32), document_vector(text))


async def serving(index: Path) -> ServingStore:
    store = ServingStore(StoreConfig(path=index), 4)
    await store.open()
    return store


async def texts(store: ServingStore) -> dict[str, str]:
    async with store.reading() as lent:
        return {e.passage.document_id: e.passage.text async for page in lent.export() for e in page}


async def upload(store: ServingStore, *entries: Entry) -> None:
    async with store.writing() as lent:
        await lent.write(entries)


async def test_an_empty_index_takes_uploads(tmp_path: Path) -> None:
    store = await serving(tmp_path)
    await upload(store, entry("up"))
    await store.close()
    again = await serving(tmp_path)
    assert await texts(again) == {"up": "words"}
    assert await again.follow() is False
    await again.close()


async def test_a_promoted_version_is_taken_up_with_the_uploads(tmp_path: Path) -> None:
    collection = Collection(tmp_path, "raglan")
    first = await make_version(collection, [entry("old", origin=""), entry("gone", "x")])
    store = await serving(tmp_path)
    await upload(store, entry("up", "uploaded"), entry("both", "uploaded"), entry("secret", "uploaded", groups=("g",)))
    async with store.writing() as lent:
        await lent.delete("gone", TENANT)
    second = await make_version(collection, [entry("new", origin=""), entry("both", "from its source", origin="")])
    assert await store.follow() is True
    assert store.version == second
    assert await texts(store) == {"new": "words", "up": "uploaded", "both": "from its source", "secret": "uploaded"}

    await upload(store, entry("later", "uploaded"))
    async with store.writing() as lent:
        await lent.delete("up", TENANT)
    collection.promote(first)
    assert await store.follow() is True
    assert (await texts(store)).keys() == {"old", "secret", "later"}
    await store.close()


async def test_a_switch_while_nothing_ran_is_made_good_at_start(tmp_path: Path) -> None:
    collection = Collection(tmp_path, "raglan")
    await make_version(collection, [entry("old", origin="")])
    store = await serving(tmp_path)
    await upload(store, entry("up"))
    await store.close()
    await make_version(collection, [entry("new", origin="")])
    await make_version(collection, [entry("newer", origin="")])
    store = await serving(tmp_path)
    assert (await texts(store)).keys() == {"newer", "up"}
    assert collection.served() == collection.current()
    await store.close()


async def test_uploads_and_searches_during_a_switch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    collection = Collection(tmp_path, "raglan")
    await make_version(collection, [entry("old", origin="")])
    store = await serving(tmp_path)
    closed: list[Store] = []
    async with store.reading() as lent:
        close = lent.close

        def noted() -> Awaitable[None]:
            closed.append(lent)
            return close()

        monkeypatch.setattr(lent, "close", noted)
        second = await make_version(collection, [entry("new", origin="")])
        following = asyncio.create_task(store.follow())
        uploads = [asyncio.create_task(upload(store, entry(f"up{n}"))) for n in range(20)]
        await asyncio.gather(*uploads)
        while store.version != second:
            await asyncio.sleep(0.001)
        assert not closed
        assert not following.done()
        assert "old" in {info.id for info in await lent.documents(TENANT)}
    assert await following is True
    assert closed == [lent]
    assert (await texts(store)).keys() == {"new", *(f"up{n}" for n in range(20))}
    await store.close()


async def test_a_version_that_is_gone_is_refused_and_not_made_empty(tmp_path: Path) -> None:
    collection = Collection(tmp_path, "raglan")
    await make_version(collection, [entry("old", origin="")])
    store = await serving(tmp_path)
    gone = await make_version(collection, [entry("new", origin="")])
    collection.remove(gone)
    with pytest.raises(NotFound, match=f"there is no version {gone} of raglan"):
        await store.follow()
    assert (await texts(store)).keys() == {"old"}
    await store.close()
    with pytest.raises(NotFound, match=gone):
        await serving(tmp_path)
    assert not collection.folder(gone).exists()


async def test_a_switch_that_fails_leaves_the_old_version_serving_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = Collection(tmp_path, "raglan")
    first = await make_version(collection, [entry("old", origin="")])
    store = await serving(tmp_path)
    await upload(store, entry("up"))
    second = await make_version(collection, [entry("new", origin="")])
    with monkeypatch.context() as patch:
        patch.setattr("rag.serving.carry", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await store.follow()
    assert (store.version, collection.served()) == (first, first)
    await upload(store, entry("later"))
    assert (await texts(store)).keys() == {"old", "up", "later"}
    assert await store.follow() is True
    assert store.version == second
    assert (await texts(store)).keys() == {"new", "up", "later"}
    await store.close()


async def test_a_version_of_other_dimensions_is_refused_and_the_old_one_serves_on(tmp_path: Path) -> None:
    collection = Collection(tmp_path, "raglan")
    await make_version(collection, [entry("old", origin="")])
    store = await serving(tmp_path)
    other = collection.start()
    lent: Store = open_store(StoreConfig(path=collection.engine(other)), 8)
    await lent.close()
    await make_version(collection, [], other)
    with pytest.raises(StoreMismatch, match=r"8 dimensions.*makes 4"):
        await store.follow()
    assert (await texts(store)).keys() == {"old"}
    await store.close()
    with pytest.raises(StoreMismatch):
        await serving(tmp_path)
