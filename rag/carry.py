"""Uploaded documents follow the switch from one index version to another."""

from collections import defaultdict
from collections.abc import Iterable

from rag.store import Entry, Store
from rag.types import Passage

ORIGIN = "origin"
UPLOADED = "api"
"""`metadata["origin"]` of documents that came by POST /v1/documents."""
Uploads = dict[tuple[str, str], dict[str, Passage]]
"""The passages of each uploaded document by their ids, the document by its tenant and its id."""


async def carry(old: Store, new: Store, carried: Uploads | None = None) -> Uploads:
    """Make the uploads in `new` those of `old`, but for ids that `new` has from its sources; return them.

    With what an earlier call `carried`, only that is made good: a document that was changed in `new` since stays.
    Idempotent: a run that was cut off is made good by the next.
    """
    there = by_document([entry async for page in new.export(UPLOADED) for entry in page])
    known = there if carried is None else carried
    changed = {key for key in there.keys() | known.keys() if there.get(key) != known.get(key)}
    held = [entry async for page in old.export(UPLOADED) for entry in page if key_of(entry) not in changed]
    taken = {tenant: {info.id for info in await new.documents(tenant)} for tenant in {e.passage.tenant for e in held}}
    kept = [
        entry
        for entry in held
        if key_of(entry) in there or entry.passage.document_id not in taken[entry.passage.tenant]
    ]
    for tenant, document in there.keys() - changed - {key_of(entry) for entry in kept}:
        await new.delete(document, tenant)
    if kept:
        await new.write(kept)
    return by_document(kept)


def key_of(entry: Entry) -> tuple[str, str]:
    return entry.passage.tenant, entry.passage.document_id


def by_document(entries: Iterable[Entry]) -> Uploads:
    out: Uploads = defaultdict(dict)
    for entry in entries:
        out[key_of(entry)][entry.passage.id] = entry.passage
    return dict(out)
