"""Index versions on a Qdrant server: the collection NAME@<version>, and the alias NAME, switched by one operation.

The alias NAME@<version>.whole marks a finished version. The aliases NAME@served.<n> are the versions that were
promoted, the last one last; the switch sets them too. Manifests and Parquet parts stay with the job, in a folder.
"""

from pathlib import Path
from typing import Any

from pydantic import SecretStr
from qdrant_client import AsyncQdrantClient, models

from rag.carry import Uploads, carry
from rag.collection import Collection, before, promoted
from rag.errors import NotFound
from rag.store import IndexConfig, Store, StoreConfig
from rag.store_qdrant import QdrantStore, connect, reaching

WHOLE = ".whole"
SERVED = "served."


def connected(url: str, key: Path | None) -> AsyncQdrantClient:
    """A client of the server at `url`, with the key in the file `key`."""
    secret = SecretStr(key.read_text().strip()) if key else None
    return connect(StoreConfig(kind="server", url=url, api_key=secret, timeout_s=600))


class ServerEngine:
    """The versions of `collection` on a server. Every call raises StageUnavailable while it cannot be reached."""

    def __init__(
        self,
        client: AsyncQdrantClient,
        collection: Collection,
        dimensions: int | None,
        index: IndexConfig | None = None,
    ) -> None:
        """`dimensions` are those of new versions; what only switches versions needs none."""
        self._index = index
        self._client = client
        self._collection = collection
        self._name = collection.name
        self._dimensions = dimensions

    async def open(self, version: str) -> Store:
        return QdrantStore(self._client, f"{self._name}@{version}", self._dimensions, self._index)

    async def release(self, store: Store) -> None:
        """Stores share the engine's connection."""

    async def versions(self) -> list[str]:
        prefix = f"{self._name}@"
        names = [name for name in await self._aliases() if name.startswith(prefix)]
        return sorted(name[len(prefix) : -len(WHOLE)] for name in names if name.endswith(WHOLE))

    async def current(self) -> str:
        return (await self._aliases()).get(self._name, "").removeprefix(f"{self._name}@")

    async def finish(self, version: str) -> None:
        async with reaching():
            await self._client.update_collection_aliases([self._alias(f"{self._name}@{version}{WHOLE}", version)])

    async def before(self) -> str:
        history = list((await self._history()).values())
        return before(history, await self.current(), await self.versions())

    async def promote(self, version: str, back: bool = False) -> None:
        """Uploads are carried over before the switch, and those that came in between after it.

        A collection of the plain name, which is no alias, gives way: for a moment there is none then.
        """
        if version not in await self.versions():
            raise NotFound(f"there is no version {version} of {self._name} on the server", "version")
        serving = await self.current()
        new = await self.open(version)
        carried: Uploads = {}
        async with reaching():
            plain = not serving and await self._client.collection_exists(self._name)
            old = await self.open(serving) if serving else QdrantStore(self._client, self._name, self._dimensions)
            if serving != version and (serving or plain):
                carried = await carry(old, new)
            if plain:
                await self._client.delete_collection(self._name)
            gone, history = [self._name] if serving else [], list[str]()
            if not back:
                known = await self._history()
                gone, history = [*gone, *known], promoted(list(known.values()), serving, version)
            await self._client.update_collection_aliases(
                [
                    *map(no_alias, gone),
                    self._alias(self._name, version),
                    *(self._alias(f"{self._name}@{SERVED}{n:04}", other) for n, other in enumerate(history)),
                ]
            )
            if serving and serving != version:
                await carry(old, new, carried)
        if version in self._collection.versions():
            self._collection.promote(version, back)

    async def clear(self, version: str) -> None:
        async with reaching():
            await self._client.delete_collection(f"{self._name}@{version}")

    async def remove(self, version: str) -> None:
        await self.clear(version)
        self._collection.remove(version)

    def settings(self) -> dict[str, Any]:
        return {"kind": "server", **(self._index.model_dump() if self._index else {})}

    async def close(self) -> None:
        await self._client.close()

    async def _history(self) -> dict[str, str]:
        """The versions that served by their aliases, the last one last; one that was deleted has lost its alias."""
        prefix = f"{self._name}@"
        found = sorted((await self._aliases()).items())
        return {alias: of.removeprefix(prefix) for alias, of in found if alias.startswith(prefix + SERVED)}

    async def _aliases(self) -> dict[str, str]:
        """Collections by their aliases, of this name only."""
        async with reaching():
            found = (await self._client.get_aliases()).aliases
        mine = (alias for alias in found if alias.alias_name.partition("@")[0] == self._name)
        return {alias.alias_name: alias.collection_name for alias in mine}

    def _alias(self, alias: str, version: str) -> models.CreateAliasOperation:
        return models.CreateAliasOperation(
            create_alias=models.CreateAlias(collection_name=f"{self._name}@{version}", alias_name=alias)
        )


def no_alias(alias: str) -> models.DeleteAliasOperation:
    return models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias))
