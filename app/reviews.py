"""/v1/reviews: flagged exchanges, read and decided by keys that have the role `reviewer`."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal, get_args
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Response

from app.context import Caller, Context, Here
from app.errors import AlreadyDecided, NotReviewer, UnknownReview
from app.review_queue import Entry, Listing, Review, Row, Status
from app.review_schema import (
    Approval,
    Correction,
    DecisionRequest,
    Rejection,
    ReviewedExchange,
    ReviewList,
    StatusCounts,
    example,
    shown,
)

router = APIRouter(tags=["reviews"])

After = Annotated[UUID | None, Query(description="The id of the last one already seen.")]
Page = Annotated[int, Query(ge=1, le=100)]
Rows = Annotated[int, Query(ge=1, le=1_000)]
LINES = {"application/x-ndjson": {"schema": {"type": "string"}}}
COMPARED = ("decision", "correction", "pages", "note")


async def reviewing(context: Here) -> Context:
    """The context of a caller who may review. Raises NotReviewer."""
    if not context.caller.reviewer:
        raise NotReviewer("Your key has not the role 'reviewer'.")
    return context


Reviewing = Annotated[Context, Depends(reviewing)]


@router.get("/v1/reviews", summary="List flagged exchanges", response_description="Flagged exchanges, oldest first")
async def reviews(
    context: Reviewing, status: Status | Literal["all"] = "all", limit: Page = 20, after: After = None
) -> ReviewList:
    """List what guardrails flagged, in the caller's tenant, by keys whose groups the caller's key has too."""
    listing = await listed(context)
    entries = visible(listing, context.caller)
    chosen = [e for e in behind(entries, after) if status in ("all", e.status)]
    found = await rows(chosen[:limit], context)
    by_id = {entry.id: entry.status for entry in entries}
    counts = Counter(entry.status for entry in entries)
    return ReviewList(
        data=[shown(review, by_id[review.flagged["id"]]) for review in found],
        has_more=len(chosen) > limit,
        counts=StatusCounts(**{name: counts[name] for name in get_args(Status)}),
        full=listing.full,
    )


@router.get(
    "/v1/reviews/dataset",
    summary="Corrections as an evaluation set",
    response_class=Response,
    responses={200: {"description": "JSON lines, oldest first", "content": LINES}},
)
async def dataset(context: Reviewing, limit: Rows = 200, after: After = None) -> Response:
    """Return corrected exchanges as lines of `question`, `pages` and `answer`; `review` of the last line goes on."""
    entries = visible(await listed(context), context.caller)
    chosen = [e for e in behind(entries, after) if e.status == "corrected"]
    lines = [json.dumps(example(review)) + "\n" for review in await rows(chosen[:limit], context)]
    return Response("".join(lines), media_type="application/x-ndjson")


@router.post("/v1/reviews/{id:uuid}", summary="Decide on a flagged exchange", response_description="As it is now")
async def decide(id: UUID, body: DecisionRequest, context: Reviewing) -> ReviewedExchange:
    """Keep a decision for good: a second one is refused, unless it says the same."""
    entry, review = await one(str(id), context)
    wanted = await asyncio.to_thread(decision, entry, body, context.caller, context.services.mask)
    if review.decision is None:
        await context.within(context.services.reviews.append(wanted), "reviews")
        entry, review = await one(str(id), context)  # another reviewer's may have come first
    kept = review.decision or {}
    if any(kept.get(name) != wanted[name] for name in COMPARED):
        raise AlreadyDecided(f"This exchange is {entry.status} already.", "decision")
    return shown(review, entry.status)


def decision(entry: Entry, body: Approval | Correction | Rejection, caller: Caller, mask: Callable[[str], str]) -> Row:
    """The `decision` row, masked as everything that is stored."""
    correction = body if isinstance(body, Correction) else None
    return {
        "kind": "decision",
        "id": entry.id,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "tenant": entry.tenant,
        "reviewer": caller.name,
        "decision": body.decision,
        "correction": mask(correction.correction) if correction else None,
        "pages": list(dict.fromkeys(correction.pages)) if correction else [],
        "note": None if body.note is None else mask(body.note),
    }


async def listed(context: Context) -> Listing:
    return await context.within(context.services.reviews.listing(), "reviews")


async def rows(entries: Sequence[Entry], context: Context) -> list[Review]:
    return await context.within(context.services.reviews.read(entries), "reviews")


async def one(id: str, context: Context) -> tuple[Entry, Review]:
    """The exchange of this id. Raises UnknownReview."""
    entries = [e for e in visible(await listed(context), context.caller) if e.id == id]
    found = await rows(entries, context)
    if not found:
        raise UnknownReview("There is no flagged exchange with this id.", "id")
    return entries[0], found[0]


def visible(listing: Listing, caller: Caller) -> list[Entry]:
    """What the caller may see: nothing whose answer may rest on documents of a group that the caller is not in."""
    return [e for e in listing.entries if e.tenant == caller.tenant and e.groups.issubset(caller.groups)]


def behind(entries: Sequence[Entry], after: UUID | None) -> Sequence[Entry]:
    """The entries behind the one of this id, whatever its status is by now. Raises UnknownReview."""
    if after is None:
        return entries
    for n, entry in enumerate(entries):
        if entry.id == str(after):
            return entries[n + 1 :]
    raise UnknownReview("There is no flagged exchange with this id.", "after")
