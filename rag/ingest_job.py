"""One run of the ingest job that has something to do: rows, engine, manifest, switch, in this order."""

import argparse
import asyncio
import os
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TypeVar

from tqdm import tqdm

from rag import parts
from rag.collection import Collection
from rag.embed import EmbedConfig, SentenceEmbedder
from rag.errors import RaglanError
from rag.ingest_build import DiskFull, Plan, check_room, is_full, load, plan
from rag.ingest_rows import Embedded, Prepared, Preparer, RowConfig, embedded
from rag.ingest_scan import Item, Scan
from rag.manifest import Manifest, Unreadable
from rag.scan import find_scanner
from rag.store import IndexConfig
from rag.token_files import token_bytes
from rag.versions import make_engine

BATCH = 64
"""Passages that one thread embeds together: sorted by length, they are padded the less the more they are, and at the
end of a job the other threads wait the longer."""
RAY_FROM_BYTES = 4_000_000
"""Size of what has changed, from which on starting Ray costs less than it can gain: a minute's work for two cores."""

Given = TypeVar("Given")
Made = TypeVar("Made")


class EngineFailed(RaglanError):
    """The embedded engine could not write; it has no exceptions of its own. What serves is untouched."""


class Job:
    """Builds a version of `collection`. `done` counts the items that were read for it, `promoted` says that it serves.

    Raises InvalidInput.
    """

    def __init__(self, collection: Collection, args: argparse.Namespace, config: RowConfig, found: Scan) -> None:
        self.collection = collection
        self.args = args
        self.found = found
        self.config = config
        find_scanner(args.scanner)
        index = IndexConfig.model_validate_json(args.engine)
        self.engine = make_engine(collection, config.embed.dimensions, args.qdrant_url, args.api_key_file, index)
        self.done = 0
        self.promoted = False

    async def run(self, wanted: dict[str, str], failed: dict[str, Unreadable], parent: Manifest | None) -> Manifest:
        """Return the finished version's manifest; what turns out to be unreadable moves from `wanted` to `failed`.

        Raises DiskFull, and what the store raises. The serving version is untouched then, and the next run uses again
        what this one has embedded. A version without a document, for want of one that can be read, is not promoted.
        """
        try:
            for dead in self.collection.unfinished():
                await self.engine.clear(dead)
            version = self.collection.start()
            await asyncio.to_thread(self.rows, version, wanted, failed, parent)
            planned = await asyncio.to_thread(plan, self.collection.folder(version), wanted)
            failed |= {key: Unreadable(hash=wanted.pop(key), reason=why) for key, why in planned.conflicts.items()}
            await self.fill(version, planned)
            manifest = self.manifest(version, wanted, failed, planned, parent)
            self.collection.finish(manifest)
            await self.engine.finish(version)
            if not self.args.no_promote and (wanted or not failed):
                await self.engine.promote(version)
                self.promoted = True
            held = {version, await self.engine.current(), await self.engine.before()}
            for old in (*self.collection.prunable(self.args.keep, held), *self.collection.unfinished()):
                await self.engine.remove(old)
            return manifest
        except OSError as error:
            if is_full(error):
                raise DiskFull(f"the disk is full: {error.strerror}; what serves is untouched", "index") from error
            raise
        finally:
            await self.engine.close()

    def rows(
        self, version: str, wanted: dict[str, str], failed: dict[str, Unreadable], parent: Manifest | None
    ) -> None:
        """Gather the version's Parquet parts: of older versions and killed jobs what fits, and what is new.

        An item that could not be read for a passing reason stays as it is in `parent`.
        """
        stay: dict[str, str] = {}
        folder = self.collection.folder(version)
        dimensions = self.config.embed.dimensions
        others = [] if self.args.rebuild else self.others(version)
        have = parts.reuse(others, folder / "passages", set(wanted.items()), dimensions)
        todo = [self.found.items[key] for key, hash_ in wanted.items() if (key, hash_) not in have]
        writer = parts.PartWriter(folder / "passages", dimensions, self.args.token_bytes - token_bytes(folder))
        with tqdm(total=len(todo), unit=" documents", desc="indexing", mininterval=0.5) as progress:
            for prepared, made in self.embedded(todo):
                writer.add(made.rows, made.tokens)
                for one in prepared:
                    if one.reason:
                        key, hash_ = one.item.key, wanted.pop(one.item.key)
                        failed[key] = Unreadable(hash="" if one.passing else hash_, reason=one.reason)
                        if one.passing and parent and key in parent.items:
                            stay[key] = parent.items[key]
                        tqdm.write(f"{one.item.path}: {one.reason}")
                    else:
                        self.done += 1
                progress.update(len(prepared))
        writer.flush()
        if stay:
            wanted |= dict(parts.reuse(others, folder / "passages", set(stay.items()), dimensions))

    def others(self, version: str) -> list[Path]:
        """Folders whose parts may be used again: the serving version's, then the newest first."""
        names = {*self.collection.versions(), *self.collection.unfinished()} - {version}
        serving = self.collection.current()
        return [self.collection.folder(name) for name in sorted(names, key=lambda n: (n == serving, n), reverse=True)]

    def embedded(self, todo: list[Item]) -> Iterator[tuple[list[Prepared], Embedded]]:
        """The items by batches, with their rows: in this process, or by Ray Data where they are many."""
        if not todo:
            return
        large = sum(item.size for item in todo) >= RAY_FROM_BYTES
        if self.args.ray == "always" or (self.args.ray == "auto" and large):
            from rag.ingest_ray import embedded_by_ray

            yield from embedded_by_ray(todo, self.config, self.args.ray_address)
            return
        config, threads = for_threads(self.config.embed)
        embedder = SentenceEmbedder(config)
        embedder.load()
        scanner = self.config.make_scanner(embedder)

        def work(batch: list[Prepared]) -> tuple[list[Prepared], Embedded]:
            return batch, embedded(batch, embedder, scanner)

        yield from side_by_side(work, batches(map(Preparer(self.config), todo)), threads)

    async def fill(self, version: str, planned: Plan) -> None:
        """Load the engine and close it."""
        if not self.args.qdrant_url:
            check_room(self.collection.folder(version), planned.passages, self.config.embed.dimensions)
        try:
            store = await self.engine.open(version)
            try:
                await load(planned, store)
            finally:
                await self.engine.release(store)
        except Exception as error:
            if type(error) is not Exception:
                raise
            raise EngineFailed(f"the engine cannot write: {error}; what serves is untouched", "index") from error

    def manifest(
        self,
        version: str,
        wanted: dict[str, str],
        failed: dict[str, Unreadable],
        planned: Plan,
        parent: Manifest | None,
    ) -> Manifest:
        return Manifest(
            version=version,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            parent=parent.version if parent else "",
            collection=self.collection.name,
            sources={**(parent.sources if parent else {}), **self.found.sources},
            items=wanted,
            unreadable=failed,
            documents=planned.documents,
            passages=planned.passages,
            duplicates=planned.duplicates,
            suspicious=tuple(planned.suspicious),
            read=self.config.read.model_dump(mode="json"),
            chunk=self.config.chunk.model_dump(mode="json"),
            embed=self.config.embed.model_dump(mode="json"),
            scanner=self.config.scanner,
            engine=self.engine.settings(),
            code=code_version(),
        )


def batches(prepared: Iterable[Prepared]) -> Iterator[list[Prepared]]:
    """Items together that have BATCH passages or more."""
    batch: list[Prepared] = []
    for one in prepared:
        batch.append(one)
        if sum(len(other.rows) for other in batch) >= BATCH or len(batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def for_threads(embed: EmbedConfig) -> tuple[EmbedConfig, int]:
    """How an embedder is to be loaded, and how many threads are to call it at once.

    ONNX Runtime gets a thread a batch: what Python does for one batch then runs beside the others' forward passes.
    Torch, whose threads are the whole process's, and a GPU get one batch at a time.
    """
    if embed.chosen_backend != "onnx":
        return embed, 1
    return embed.model_copy(update={"threads": 1}), embed.threads or os.cpu_count() or 1


def side_by_side(work: Callable[[Given], Made], given: Iterable[Given], threads: int) -> Iterator[Made]:
    """`work` of everything given, in order, by so many threads. What is given is drawn here, one more than threads."""
    with ThreadPoolExecutor(threads) as pool:
        pending = deque[Future[Made]]()
        for one in given:
            pending.append(pool.submit(work, one))
            if len(pending) > threads:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def code_version() -> dict[str, str]:
    """The project's version where it is installed, and its git commit where it runs from a checkout."""
    try:
        version = metadata.version("raglan")
    except metadata.PackageNotFoundError:  # as in the image, which only copies the code
        version = "not installed"
    root = Path(__file__).resolve().parent.parent
    try:
        asked = subprocess.run(
            ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return {"version": version}
    return {"version": version, "commit": asked.stdout.strip()}
