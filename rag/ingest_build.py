"""A new index version from Parquet parts: repeated passages found, the engine loaded, settled and closed."""

import asyncio
import errno
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tqdm import tqdm

from rag import parts
from rag.duplicates import Duplicates, Signature
from rag.errors import RaglanError
from rag.ingest_scan import CONFLICT
from rag.manifest import Suspicious
from rag.payload import marks
from rag.scan import suspicion
from rag.store import Entry, Store

LOAD = 1_000
"""Passages in one write of the engine."""
BYTES_PER_PASSAGE = 6_000
"""Disk that the engine takes for a passage beside its vectors: payload, sparse side, graph."""
SPARE_BYTES = 256_000_000
"""Disk that the engine takes before it holds anything: its logs are made at full size."""


class DiskFull(RaglanError):
    """There is no room for the new version; what serves is untouched."""


@dataclass(slots=True)
class Plan:
    """Which rows of which part are indexed. `repeats` are the rows that one of these stands for beside itself."""

    rows: dict[Path, set[int]] = field(default_factory=dict)
    repeats: dict[tuple[Path, int], list[dict[str, Any]]] = field(default_factory=dict)
    conflicts: dict[str, str] = field(default_factory=dict)
    documents: int = 0
    passages: int = 0
    duplicates: int = 0
    suspicious: list[Suspicious] = field(default_factory=list)


def plan(folder: Path, wanted: Mapping[str, str]) -> Plan:
    """Decide what of the version's parts is indexed: rows of the `wanted` items, the first of those that say the same.

    When two items hold a document of the same id, the first by key is taken and the other is a conflict.
    """
    out = Plan()
    found = sorted(light_rows(folder, wanted), key=lambda found: (found[2]["item"], found[0], found[1]))
    duplicates = Duplicates()
    owners: dict[tuple[str, str], str] = {}
    for number, (path, at, row) in enumerate(found):
        owner = owners.setdefault((row["tenant"], row["document_id"]), row["item"])
        if owner != row["item"]:
            out.conflicts[row["item"]] = f"{CONFLICT} {row['document_id']}: {owner}"
            continue
        readers = (row["tenant"], tuple(row["groups"]))
        earlier = duplicates.earlier(number, readers, Signature(row["same"], row["near"]))
        if earlier is None:
            out.rows.setdefault(path, set()).add(at)
            out.passages += 1
            out.suspicious += suspicious(row)
            continue
        out.duplicates += 1
        out.repeats.setdefault(found[earlier][:2], []).append(row)
    out.documents = len(owners)
    return out


def standing_for(row: Mapping[str, Any], repeats: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The fields of a row's Passage that tell of its `repeats`: their URLs, and their marks for the filters."""
    urls = dict.fromkeys(other["url"] for other in repeats if other["url"] not in ("", row["url"]))
    found: dict[str, dict[str, None]] = {}
    for other in repeats:
        for name, values in marks(json.loads(other["metadata"])).items():
            found.setdefault(name, {}).update(dict.fromkeys(values))
    return {"also": tuple(urls), "also_marks": {name: tuple(values) for name, values in found.items()}}


def suspicious(row: Mapping[str, Any]) -> list[Suspicious]:
    """What is to be told of a row's passage, if anything is."""
    score = suspicion(json.loads(row["scores"]))
    if score is None:
        return []
    return [Suspicious(tenant=row["tenant"], document=row["document_id"], passage=row["id"], score=score)]


def light_rows(folder: Path, wanted: Mapping[str, str]) -> list[tuple[Path, int, dict[str, Any]]]:
    """The wanted rows without their texts and vectors; of an item that stands in two parts, those of the first."""
    out = []
    first: dict[str, Path] = {}
    columns = ["item", "hash", "id", "document_id", "tenant", "groups", "metadata", "url", "same", "near", "scores"]
    for path in parts.paths(folder):
        for at, row in enumerate(pq.read_table(path, columns=columns).to_pylist()):
            if wanted.get(row["item"]) == row["hash"] and first.setdefault(row["item"], path) == path:
                out.append((path, at, row))
    return out


async def load(plan: Plan, store: Store) -> None:
    """Write what is planned into the empty store; it is durable and optimised on return."""
    with tqdm(total=plan.passages, unit=" passages", desc="loading", mininterval=0.5) as progress:
        for path, kept in plan.rows.items():
            for batch in await asyncio.to_thread(batches, path, kept, plan):
                await store.write(batch, settle=False)
                progress.update(len(batch))
        await store.settle()


def batches(path: Path, kept: set[int], plan: Plan) -> list[list[Entry]]:
    """The part's planned entries, whole documents together."""
    out: list[list[Entry]] = [[]]
    for numbers, rows, vectors in parts.documents(path):
        if len(out[-1]) >= LOAD:
            out.append([])
        out[-1] += [
            parts.to_entry(row, vector, standing_for(row, plan.repeats.get((path, n), ())))
            for n, row, vector in zip(numbers, rows, vectors, strict=True)
            if n in kept
        ]
    return [batch for batch in out if batch]


def check_room(folder: Path, passages: int, dimensions: int) -> None:
    """Raise DiskFull when the disk has clearly no room for the engine's files: mapped files would end the process."""
    needed = SPARE_BYTES + passages * (BYTES_PER_PASSAGE + 8 * dimensions)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(f"the index needs about {needed / 1e6:,.0f} MB and {free / 1e6:,.0f} MB are free", "index")


def is_full(error: OSError) -> bool:
    """Whether the system refused to write more."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
