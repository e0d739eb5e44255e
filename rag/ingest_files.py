"""The command line of `python -m rag.ingest SRC... --collection NAME`: a new index version, if anything has changed.

Imports what is heavy only once there is something to do: an up-to-date index is recognised within seconds.
"""

import argparse
import asyncio
import errno
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from rag.chunk import ChunkConfig
from rag.collection import Collection, state_folder
from rag.embed import EmbedConfig
from rag.errors import InvalidInput, RaglanError
from rag.ingest_scan import CONFLICT, Origin, Scan, gone_keys, scan
from rag.manifest import Manifest, Unreadable, write_atomically
from rag.read import READERS, ReadConfig
from rag.scan import DEFAULT_SCANNER
from rag.store import IndexConfig

TOKEN_BYTES = 2_000_000_000
"""Some 40,000 passages of 128 tokens."""
SHOWN = 20
"""Suspicious passages that are printed; the report holds all."""
KEPT = 3
"""Versions kept at least."""
GONE = os.strerror(errno.ENOENT)
"""How the reason ends for what is listed and yet not there."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line. Exit status: 1 when a document could not be read, 2 when nothing could be done."""
    args = parser().parse_args(argv)
    collection = Collection(state_folder(args.index, args.qdrant_url), args.collection)
    try:
        with collection.job(args.wait):
            return run(args, collection)
    except (RaglanError, ValidationError) as error:
        print(f"rag.ingest: {error}", file=sys.stderr)
    except OSError as error:
        where = error.filename or args.index
        print(f"rag.ingest: {error.strerror or error} ({where}); what serves is untouched", file=sys.stderr)
    return 2


def run(args: argparse.Namespace, collection: Collection) -> int:
    """The job itself, with the collection's lock held."""
    embed = EmbedConfig(model=args.model, dimensions=args.dimensions)
    if args.report and not args.report.parent.is_dir():
        raise InvalidInput(f"--report: there is no folder {args.report.parent}", "report")
    origin = Origin("", args.tenant, tuple(args.group), tuple(args.tag), args.url_prefix)
    read, chunk = ReadConfig.model_validate_json(args.read), ChunkConfig.model_validate_json(args.chunk)
    index = IndexConfig.model_validate_json(args.engine)
    found = scan(args.sources, origin, settings(embed, chunk, read, args.scanner), read)
    serving = collection.current()
    if serving and not args.rebuild:
        collection.check(serving)
    parent = collection.manifest(serving) if not args.rebuild else None
    if parent and parent.items:
        check_embedder(parent, embed)
    wanted, failed = merged(parent, found)
    if parent and unchanged(parent, wanted, failed, index):
        print(f"index is up to date: {parent.documents} documents in {collection.root}")
        return report(args, collection, parent)
    for key in [key for key, one in failed.items() if one.reason.startswith(CONFLICT) and key in found.items]:
        wanted[key] = failed.pop(key).hash
    from rag.ingest_job import Job
    from rag.ingest_rows import RowConfig

    job = Job(collection, args, RowConfig(read, chunk, embed, args.scanner), found)
    manifest = asyncio.run(job.run(wanted, failed, parent))
    removed = len(set(parent.items) - set(wanted)) if parent else 0
    state = "serving" if job.promoted else "not promoted"
    print(
        f"{job.done} documents indexed, {removed} removed, {len(wanted) - job.done} unchanged, "
        f"{manifest.duplicates} repeated passages left out: version {manifest.version} ({state}) in {collection.root}"
    )
    return report(args, collection, manifest)


def settings(embed: EmbedConfig, chunk: ChunkConfig, read: ReadConfig, scanner: str) -> str:
    """All that passages depend on beside their item; what is as by default is not named, so that hashes last."""
    other = {"read": read.model_dump(exclude_defaults=True)} if read != ReadConfig() else {}
    named = other | ({"scanner": scanner} if scanner != DEFAULT_SCANNER else {})
    return json.dumps([embed.model, embed.dimensions, chunk.model_dump(), *([named] if named else [])])


def check_embedder(parent: Manifest, embed: EmbedConfig) -> None:
    """Raise InvalidInput when the collection was built by another embedder."""
    built = (parent.embed.get("model"), parent.embed.get("dimensions"))
    if built != (embed.model, embed.dimensions):
        raise InvalidInput(
            f"the collection {parent.collection} was built by the embedder {built[0]} of {built[1]} dimensions, and "
            f"this run uses {embed.model} of {embed.dimensions}: run it with --rebuild and all sources, or name "
            "another collection",
            "model",
        )


def merged(parent: Manifest | None, found: Scan) -> tuple[dict[str, str], dict[str, Unreadable]]:
    """What the next version holds and what cannot be read: of other sources as before, of these as it was found.

    An item that could not be read is not tried again until it changes. What could not even be opened, but is there,
    stays as it was.
    """
    wanted, failed = found.hashes(), dict(found.unreadable)
    if parent is None:
        return wanted, failed
    mine = gone_keys({**parent.items, **parent.unreadable}, found.sources)
    kept = {key: hash_ for key, hash_ in parent.items.items() if key not in mine}
    for key, known in parent.unreadable.items():
        if key not in mine or wanted.get(key) == known.hash:
            failed[key] = known
            wanted.pop(key, None)
    closed = {key: None for key, one in found.unreadable.items() if not one.hash and not one.reason.endswith(GONE)}
    kept |= {key: parent.items[key] for key in gone_keys(parent.items, closed)}
    return kept | wanted, failed


def unchanged(parent: Manifest, wanted: dict[str, str], failed: dict[str, Unreadable], index: IndexConfig) -> bool:
    """Whether the next version would hold what `parent` holds, in an engine of the same settings."""
    built = {name: value for name, value in parent.engine.items() if name != "kind"}
    same = IndexConfig().model_dump() | built == index.model_dump()
    return same and dict(parent.items) == wanted and dict(parent.unreadable) == failed


def report(args: argparse.Namespace, collection: Collection, manifest: Manifest) -> int:
    """Write the report of what could not be read and of what is suspicious, and say so; return the exit status."""
    path = args.report or collection.folder(manifest.version) / "report.json"
    unreadable = [{"document": key, "reason": one.reason} for key, one in sorted(manifest.unreadable.items())]
    suspicious = [one.model_dump() for one in sorted(manifest.suspicious, key=lambda one: -one.score)]
    content: dict[str, object] = {"version": manifest.version, "documents": manifest.documents}
    content |= {"unreadable": unreadable, "suspicious": suspicious}
    write_atomically(path, json.dumps(content, indent=1, ensure_ascii=False))
    for one in unreadable:
        print(f"{one['document']}: {one['reason']}", file=sys.stderr)
    if unreadable:
        print(f"{len(unreadable)} documents could not be read: the reasons stand above and in {path}", file=sys.stderr)
    for one in suspicious[:SHOWN]:
        print(f"{one['passage']}: reads like an instruction to the model, score {one['score']:.2f}", file=sys.stderr)
    if suspicious:
        print(
            f"{len(suspicious)} suspicious passages were indexed; the policy says whether answers may use them. "
            f"All of them stand in {path}",
            file=sys.stderr,
        )
    return 1 if unreadable else 0


def named(text: str) -> str:
    """A tenant's or a group's name; an empty group would stand for everybody."""
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty")
    return text


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(prog="python -m rag.ingest", description="Build or update an index from files.")
    add = out.add_argument
    add("sources", nargs="+", type=Path, metavar="SRC", help=f"file, or folder of {' '.join(READERS)}")
    add("--collection", default="raglan", help="name of the collection")
    add("--index", type=Path, default=Path("var/index"), help="folder of all collections")
    add("--tenant", default="default", type=named, help="whose documents these are")
    may_read = "a group that may read them; repeatable; none: the whole tenant"
    add("--group", action="append", default=[], type=named, help=may_read)
    add("--tag", action="append", default=[], help="a tag that searches can filter by; repeatable")
    add("--url-prefix", default="", help="put before each document's id, it gives its URL")
    add("--no-promote", action="store_true", help="build the new version, but let the old one serve on")
    add("--rebuild", action="store_true", help="use nothing again, and keep no documents of other sources")
    add("--wait", action="store_true", help="wait for another job on the collection instead of giving up")
    add(
        "--report",
        type=Path,
        help="where to write what could not be read and what is suspicious; default: beside the manifest",
    )
    add("--keep", type=int, default=KEPT, help="versions to keep; the serving and the previous one always stay")
    add("--ray", choices=("auto", "always", "never"), default="auto", help="a Ray Data job; auto: for many documents")
    add("--ray-address", default="local", help="the Ray cluster, or 'local' to start one for the job")
    add("--model", default=EmbedConfig().model, help="the embedder, as in the configuration's embed.model")
    add("--dimensions", type=int, default=EmbedConfig().dimensions, help="length of its vectors")
    add(
        "--token-bytes",
        type=int,
        default=TOKEN_BYTES,
        help="most bytes of token vectors kept for the reranker, about 400 a token; 0: none are made",
    )
    add("--scanner", default=DEFAULT_SCANNER, help="what scores passages for instructions to the model, as MODULE:NAME")
    add("--chunk", default="{}", help='JSON with settings of chunk, such as {"max_tokens": 128}')
    add("--read", default="{}", help='JSON with settings of read, such as {"max_pages": 2000}')
    add("--engine", default="{}", help='JSON with settings of store.index, such as {"quantization": "scalar"}')
    add("--qdrant-url", default="", help="write to this Qdrant server instead of the embedded store")
    add("--api-key-file", type=Path, help="file that holds the Qdrant server's key")
    return out
