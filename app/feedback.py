"""POST /v1/feedback: thumbs up and down, appended and never changed."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field, StrictStr

from app.append import append
from app.context import Here
from app.schema import Closed, Shape
from rag.errors import TooLarge

router = APIRouter(tags=["feedback"])

MAX_ROW_BYTES = 32_000


class FileFeedback:
    """A JSON-lines file. Each row is one append, on disk before `append` returns; replicas on one host may share it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def append(self, row: Mapping[str, Any]) -> None:
        """Write one row durably. Raises TooLarge over MAX_ROW_BYTES."""
        data = json.dumps(row).encode() + b"\n"
        if len(data) > MAX_ROW_BYTES:
            raise TooLarge(f"A row of feedback may have {MAX_ROW_BYTES} bytes.")
        await asyncio.to_thread(append, self.path, data)


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
async def feedback(body: FeedbackRequest, context: Here) -> FeedbackReceipt:
    """Keep a rating, with the time and who gave it. A second one for the same answer stands beside the first."""
    row = {
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
