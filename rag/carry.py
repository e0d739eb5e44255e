"""Uploaded documents follow the switch from one index version to another."""

from rag.store import Store

ORIGIN = "origin"
UPLOADED = "api"
"""`metadata["origin"]` of documents that came by POST /v1/documents."""


async def carry(old: Store, new: Store) -> int:
    """Make the uploads in `new` those of `old`, but for ids that `new` has from its sources; return their passages.

    Idempotent: a run that was cut off is made good by the next.
    """
    stale: set[tuple[str, str]] = set()
    async for page in new.export(UPLOADED):
        stale |= {(entry.passage.tenant, entry.passage.document_id) for entry in page}
    taken: dict[str, set[str]] = {}
    held = []
    async for page in old.export(UPLOADED):
        held += page
    for tenant in {entry.passage.tenant for entry in held}:
        taken[tenant] = {info.id for info in await new.documents(tenant)}
    kept = [
        entry
        for entry in held
        if (entry.passage.tenant, entry.passage.document_id) in stale
        or entry.passage.document_id not in taken[entry.passage.tenant]
    ]
    for tenant, document in stale - {(entry.passage.tenant, entry.passage.document_id) for entry in kept}:
        await new.delete(document, tenant)
    if kept:
        await new.write(kept)
    return len(kept)
