"""POST /v1/feedback: thumbs up and down, appended and never changed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header
from pydantic import Field, StrictStr

from app.context import Here
from app.schema import Closed, Shape

router = APIRouter(tags=["feedback"])

IdempotencyKey = Annotated[
    str | None,
    Header(
        pattern=r"^[\w.:-]{1,128}$",
        description="A name of your own for this rating: sent again with the same one, it is stored once.",
    ),
]


class FeedbackRequest(Closed):
    """What a reader thought of an answer."""

    trace_id: StrictStr = Field(pattern=r"^[0-9a-f]{32}$", description="The answer's `raglan.trace_id`.")
    rating: Literal["up", "down"]
    comment: Annotated[StrictStr, Field(max_length=2_000)] | None = None


class FeedbackReceipt(Shape):
    """What was stored."""

    object: Literal["feedback"] = "feedback"
    trace_id: str
    rating: Literal["up", "down"]


@router.post("/v1/feedback", status_code=201, summary="Rate an answer", response_description="Stored")
async def feedback(body: FeedbackRequest, context: Here, idempotency_key: IdempotencyKey = None) -> FeedbackReceipt:
    """Keep a rating, with the time and who gave it. A second one for the same answer stands beside the first.

    A client that had no answer may send its rating again with the same `Idempotency-Key`: it is stored once.
    """
    row = {
        "id": idempotency_key,
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "trace_id": body.trace_id,
        "rating": body.rating,
        "comment": body.comment,
        "user": context.caller.name,
        "tenant": context.caller.tenant,
        "request_id": context.request_id,
    }
    await context.within(keep(context, row), "feedback")
    return FeedbackReceipt(trace_id=body.trace_id, rating=body.rating)


async def keep(context: Here, row: Mapping[str, Any]) -> None:
    await context.services.feedback.append(row)
