"""The command line of `python -m rag.ingest SRC... --index var/index`: a second run only does what changed.

Imports what is heavy only once there is something to do: an up-to-date index is recognised in under a second.
"""

import argparse
import asyncio
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr
from tqdm import tqdm

from rag.chunk import ChunkConfig
from rag.embed import EmbedConfig
from rag.errors import InvalidInput, RaglanError
from rag.manifest import digest, load_manifest, save_manifest
from rag.read import READERS, ReadConfig, read_file
from rag.types import Document

if TYPE_CHECKING:
    from rag.store import StoreConfig

FORMAT = b"1"
"""Changes when the passages of an unchanged file do; then every file counts as changed."""
BATCH = 16
"""Documents written at a time: what a killed run has to do again."""


@dataclass(frozen=True, slots=True)
class File:
    """A source file; `id` names its document: the path from the source on, `hash` what its passages depend on."""

    path: Path
    id: str
    hash: str


class Job:
    """One run: `hashes` is the manifest, kept on disk as the work goes on; `failed` counts unreadable files."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.embed = EmbedConfig(model=args.model, dimensions=args.dimensions)
        self.path = args.index / "manifest.json"
        self.hashes = load_manifest(self.path)
        self.failed = 0

    def settings(self) -> bytes:
        """All but its content that a document's passages depend on."""
        args = self.args
        chosen = [args.url_prefix, args.tenant, args.qdrant_url, args.collection]
        return repr([chosen, self.embed.model, ChunkConfig()]).encode() + FORMAT

    def files(self) -> list[File]:
        """The sources' files. Raises InvalidInput when two would have the same id."""
        settings = self.settings()
        found: dict[str, File] = {}
        for path, name in (pair for source in self.args.sources for pair in walk(source)):
            if name in found:
                raise InvalidInput(f"{path} and {found[name].path} would both be the document {name}", "sources")
            found[name] = File(path, name, digest(settings, path.read_bytes()))
        return list(found.values())

    def vanished(self, files: Iterable[File]) -> list[str]:
        """Documents of these sources that have no file any more."""
        present = {file.id for file in files}
        roots = tuple(f"{source.resolve().name}/" for source in self.args.sources)
        return [name for name in self.hashes if name.startswith(roots) and name not in present]

    def read(self, files: Iterable[File]) -> Iterator[tuple[File, Document]]:
        """The files that can be read, as documents; the others are reported on standard error."""
        for file in files:
            try:
                document = read_file(file.id, file.path.read_bytes(), ReadConfig())
            except (RaglanError, OSError) as error:
                self.failed += 1
                tqdm.write(f"{file.path}: {error}", file=sys.stderr)
                continue
            yield file, replace(document, url=f"{self.args.url_prefix}{file.id}", tenant=self.args.tenant)

    async def write(self, changed: Sequence[File], vanished: Sequence[str]) -> None:
        """Bring the index up to date, and the manifest with it batch by batch."""
        from rag.embed import SentenceEmbedder
        from rag.ingest import Ingestor
        from rag.retrieve import HybridRetriever
        from rag.store import open_store

        store = open_store(store_config(self.args), self.embed.dimensions)
        try:
            library = HybridRetriever(store)
            for name in vanished:
                await library.delete(name, self.args.tenant)
                del self.hashes[name]
            save_manifest(self.path, self.hashes)
            embedder = SentenceEmbedder(self.embed)
            ingestor = Ingestor(embedder, library, ChunkConfig(), self.embed)
            with tqdm(total=len(changed), unit=" documents", desc="indexing", mininterval=0.5) as progress:
                for batch in batches(self.read(changed)):
                    await asyncio.to_thread(embedder.load)
                    await ingestor.add([document for _, document in batch])
                    self.hashes |= {file.id: file.hash for file, _ in batch}
                    save_manifest(self.path, self.hashes)
                    progress.update(len(batch))
        finally:
            await store.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Exit status: 1 when a file could not be read, 2 when nothing could be done."""
    args = parser().parse_args(argv)
    args.index.mkdir(parents=True, exist_ok=True)
    job = Job(args)
    try:
        files = job.files()
        changed = [file for file in files if job.hashes.get(file.id) != file.hash]
        vanished = job.vanished(files)
        if not changed and not vanished:
            print(f"index is up to date: {len(files)} documents in {args.index}")
            return 0
        asyncio.run(job.write(changed, vanished))
    except RaglanError as error:
        print(f"rag.ingest: {error}", file=sys.stderr)
        return 2
    done = len(changed) - job.failed
    print(f"{done} documents indexed, {len(vanished)} removed, {len(files) - len(changed)} unchanged in {args.index}")
    if job.failed:
        print(f"{job.failed} could not be read: the reasons stand above", file=sys.stderr)
    return 1 if job.failed else 0


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(prog="python -m rag.ingest", description="Build or update the index from files.")
    out.add_argument("sources", nargs="+", type=Path, metavar="SRC", help=f"file, or folder of {' '.join(READERS)}")
    out.add_argument("--index", type=Path, default=Path("var/index"), help="folder of the index and its manifest")
    out.add_argument("--url-prefix", default="", help="put before each document's id, it gives its URL")
    out.add_argument("--tenant", default="default", help="whose documents these are")
    out.add_argument("--model", default=EmbedConfig().model, help="the embedder, as in the configuration's embed.model")
    out.add_argument("--dimensions", type=int, default=EmbedConfig().dimensions, help="length of its vectors")
    out.add_argument("--qdrant-url", default="", help="write to this Qdrant server instead of the folder")
    out.add_argument("--collection", default="raglan", help="collection on the Qdrant server")
    out.add_argument("--api-key-file", type=Path, help="file that holds the Qdrant server's key")
    return out


def store_config(args: argparse.Namespace) -> "StoreConfig":
    from rag.store import StoreConfig

    if not args.qdrant_url:
        return StoreConfig(kind="edge", path=args.index)
    key = SecretStr(args.api_key_file.read_text().strip()) if args.api_key_file else None
    return StoreConfig(kind="server", url=args.qdrant_url, collection=args.collection, api_key=key)


def walk(source: Path) -> Iterator[tuple[Path, str]]:
    """The files of a source with their ids, in order: a file itself, or a folder's readable ones but the hidden."""
    root = source.resolve()
    if root.is_file():
        yield source, root.name
        return
    if not root.is_dir():
        raise InvalidInput(f"there is no file or folder {source}", "sources")
    for path in sorted(root.rglob("*")):
        inner = path.relative_to(root)
        if path.suffix.lower() in READERS and path.is_file() and not any(p.startswith(".") for p in inner.parts):
            yield path, f"{root.name}/{inner.as_posix()}"


def batches(documents: Iterable[tuple[File, Document]]) -> Iterator[list[tuple[File, Document]]]:
    """Up to BATCH at a time."""
    batch: list[tuple[File, Document]] = []
    for pair in documents:
        batch.append(pair)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
