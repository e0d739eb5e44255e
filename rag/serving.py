"""The store that serves a collection: it follows the switch from one index version to the next and loses no upload."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from rag.carry import carry
from rag.collection import Collection
from rag.manifest import Manifest
from rag.store import Store, StoreConfig, open_store


class ServingStore:
    """Lends the current version's store. Construct, then `open()` once.

    A Qdrant server switches by itself, by its alias; there is nothing to follow then.
    """

    def __init__(self, config: StoreConfig, dimensions: int) -> None:
        self._config = config
        self._dimensions = dimensions
        self._collection = Collection(config.path, config.collection)
        self._writing = asyncio.Lock()
        self._readers: dict[Store, int] = {}
        self._idle = asyncio.Condition()
        self._store: Store | None = None
        self.version = ""

    async def open(self) -> None:
        """Open the current version, made empty if there is none. Raises NotFound, StoreLocked and StoreMismatch."""
        if self._config.kind == "server":
            self._store = open_store(self._config, self._dimensions)
            return
        if not self._collection.current():
            await asyncio.to_thread(make_empty, self._collection, self._dimensions)
        version = self._collection.current()
        store = await self._opened(version)
        served = self._collection.served()
        if served and served != version and served in self._collection.versions():
            old = await self._opened(served)
            try:
                await carry(old, store)
            finally:
                await old.close()
        self._take(version, store)

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Store]:
        """The store for one call; a switch meanwhile closes it only after it."""
        store = self._opened_store()
        self._readers[store] = self._readers.get(store, 0) + 1
        try:
            yield store
        finally:
            self._readers[store] -= 1
            if not self._readers[store]:
                del self._readers[store]
                async with self._idle:
                    self._idle.notify_all()

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Store]:
        """The store for one change; a switch waits for it, and it waits for a switch."""
        async with self._writing, self.reading() as store:
            yield store

    async def follow(self) -> bool:
        """Take up the current version if it is another one; True when it was. Where it raises, the version that serves
        goes on: NotFound for one without a manifest, StoreMismatch for one that another embedder built, and what the
        store raises.
        """
        version = "" if self._config.kind == "server" else self._collection.current()
        if version in ("", self.version):
            return False
        store = await self._opened(version)
        async with self._writing:
            old = self._opened_store()
            try:
                await carry(old, store)
                self._take(version, store)
            except BaseException:
                await store.close()
                raise
        async with self._idle:
            await self._idle.wait_for(lambda: old not in self._readers)
        await old.close()
        return True

    async def close(self) -> None:
        """Release the store."""
        await self._opened_store().close()

    async def _opened(self, version: str) -> Store:
        self._collection.check(version)
        config = self._config.model_copy(update={"path": self._collection.engine(version)})
        return await asyncio.to_thread(open_store, config, self._dimensions)

    def _take(self, version: str, store: Store) -> None:
        self._collection.serve(version)
        self.version, self._store = version, store

    def _opened_store(self) -> Store:
        if self._store is None:
            raise RuntimeError("ServingStore.open() comes first")
        return self._store


def make_empty(collection: Collection, dimensions: int) -> None:
    """A first version without documents, so that uploads have a place before anything was ingested."""
    with collection.job(wait=True):
        if not collection.current():
            version = collection.start()
            embed = {"dimensions": dimensions}
            collection.finish(Manifest(version=version, created="", collection=collection.name, embed=embed))
            collection.promote(version)
