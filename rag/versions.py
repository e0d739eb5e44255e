"""`python -m rag.versions list|promote|rollback`: the index versions of a collection, and which of them serves."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from rag.collection import Collection, state_folder
from rag.errors import NotFound, RaglanError

if TYPE_CHECKING:
    from rag.store import IndexConfig, Store


class Engine(Protocol):
    """Where a collection's versions are searched."""

    async def open(self, version: str) -> "Store":
        """The store of a version, made empty if it is missing."""
        ...

    async def release(self, store: "Store") -> None:
        """Give back what `open` lent."""
        ...

    async def finish(self, version: str) -> None:
        """Mark a version as whole: it may be promoted from now on."""
        ...

    async def versions(self) -> list[str]:
        """The finished versions, oldest first."""
        ...

    async def current(self) -> str:
        """The serving version; empty when there is none."""
        ...

    async def before(self) -> str:
        """The version that served before the serving one; empty when none is known."""
        ...

    async def promote(self, version: str, back: bool = False) -> None:
        """Let a finished version serve, by one atomic switch; `back`: as one step back, so that the one it takes the
        place of is not the one before it. Raises NotFound when there is none of this id.
        """
        ...

    async def clear(self, version: str) -> None:
        """Delete what an unfinished version takes beside its parts."""
        ...

    async def remove(self, version: str) -> None:
        """Delete a version."""
        ...

    def settings(self) -> dict[str, Any]:
        """What the engine was told, for the manifest."""
        ...

    async def close(self) -> None: ...


class FolderEngine:
    """The embedded store: a folder for each version, a file that names the serving one."""

    def __init__(self, collection: Collection, dimensions: int | None, index: "IndexConfig | None") -> None:
        self._collection = collection
        self._dimensions = dimensions
        self._index = index

    async def open(self, version: str) -> "Store":
        from rag.store import IndexConfig, StoreConfig, open_store

        config = StoreConfig(path=self._collection.engine(version), index=self._index or IndexConfig())
        if self._dimensions is None:
            raise RuntimeError("an engine that opens versions is told their dimensions")
        return await asyncio.to_thread(open_store, config, self._dimensions)

    async def release(self, store: "Store") -> None:
        await store.close()

    async def finish(self, version: str) -> None:
        """The manifest is the mark."""

    async def versions(self) -> list[str]:
        return self._collection.versions()

    async def current(self) -> str:
        return self._collection.current()

    async def before(self) -> str:
        return self._collection.before()

    async def promote(self, version: str, back: bool = False) -> None:
        self._collection.promote(version, back)

    async def clear(self, version: str) -> None:
        await asyncio.to_thread(self._collection.clear, version)

    async def remove(self, version: str) -> None:
        await asyncio.to_thread(self._collection.remove, version)

    def settings(self) -> dict[str, Any]:
        return {"kind": "edge", **(self._index.model_dump() if self._index else {})}

    async def close(self) -> None:
        """Nothing is held open."""


def make_engine(
    collection: Collection,
    dimensions: int | None,
    qdrant_url: str = "",
    key: Path | None = None,
    index: "IndexConfig | None" = None,
) -> Engine:
    """The embedded engine of `collection`, or the Qdrant server at `qdrant_url` with the key in the file `key`.

    `dimensions` and `index` are of the vectors of new versions; what only switches versions needs neither.
    """
    if not qdrant_url:
        return FolderEngine(collection, dimensions, index)
    from rag.versions_server import ServerEngine, connected

    return ServerEngine(connected(qdrant_url, key), collection, dimensions, index)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; exit status 2 when it could not be done."""
    args = parser().parse_args(argv)
    collection = Collection(state_folder(args.index, args.qdrant_url), args.collection)
    try:
        with nullcontext() if args.command == "list" else collection.job(args.wait):
            return asyncio.run(run(args, collection))
    except RaglanError as error:
        print(f"rag.versions: {error}", file=sys.stderr)
        return 2


async def run(args: argparse.Namespace, collection: Collection) -> int:
    engine = make_engine(collection, None, args.qdrant_url, args.api_key_file)
    try:
        if args.command == "list":
            serving = await engine.current()
            for version in await engine.versions():
                print(line(collection, version, serving))
            return 0
        back = args.command == "rollback"
        version = await before(engine) if back else args.version
        await engine.promote(version, back)
        print(f"{collection.name} serves version {version}")
        return 0
    finally:
        await engine.close()


async def before(engine: Engine) -> str:
    """The version that served before the serving one. Raises NotFound when none is known."""
    if version := await engine.before():
        return version
    raise NotFound("there is no version before the serving one on record: `list` shows what `promote` takes", "version")


def line(collection: Collection, version: str, serving: str) -> str:
    """One version as it is listed; the serving one has a star."""
    manifest = collection.manifest(version)
    counts = (
        f"{manifest.documents:>8} documents {manifest.passages:>9} passages  {manifest.created}" if manifest else ""
    )
    return f"{'*' if version == serving else ' '} {version} {counts}".rstrip()


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(prog="python -m rag.versions", description="Index versions of a collection.")
    commands = out.add_subparsers(dest="command", required=True)
    for name, about in (
        ("list", "list the versions; a star marks the serving one"),
        ("promote", "let a version serve"),
        ("rollback", "let the version that served before the serving one serve again"),
    ):
        command = commands.add_parser(name, help=about)
        if name == "promote":
            command.add_argument("version")
        if name != "list":
            command.add_argument("--wait", action="store_true", help="wait for a job on the collection, not give up")
        command.add_argument("--index", type=Path, default=Path("var/index"), help="folder of all collections")
        command.add_argument("--collection", default="raglan", help="name of the collection")
        command.add_argument("--qdrant-url", default="", help="the Qdrant server, where it is not the embedded store")
        command.add_argument("--api-key-file", type=Path, help="file that holds the Qdrant server's key")
    return out


if __name__ == "__main__":
    raise SystemExit(main())
