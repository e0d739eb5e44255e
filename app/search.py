"""POST /v1/search: what the retriever finds, without a model's answer."""

from asyncio import CancelledError
from dataclasses import replace
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import Field, StrictBool

from app.completion import scored, server_timing
from app.connection import ClientGone
from app.context import Here
from app.filter_schema import Narrowed
from app.schema import Closed, Scored, Shape, TopK, Words
from rag.consider import Clock, consider
from rag.errors import TooLarge
from rag.types import Message, Prompt

router = APIRouter(tags=["documents"])


class SearchRequest(Closed):
    """A question to the caller's documents."""

    query: Words
    top_k: TopK | None = None
    filter: Narrowed | None = None
    rerank: StrictBool | None = Field(None, description="Whether to look closer at what the first stage found.")


class SearchResult(Shape):
    """Passages, best first."""

    object: Literal["list"] = "list"
    hits: list[Scored]
    timings: dict[str, float] = Field(description="Milliseconds by stage.")
    degraded: list[str] = Field(description="Stages done without: `rerank` when its time ran out.")
    trace_id: str


@router.post(
    "/v1/search", summary="Search the documents", response_description="The passages", response_model=SearchResult
)
async def search(body: SearchRequest, context: Here) -> Response:
    """Return the passages that answer a question best, with their scores."""
    services = context.services
    limit = services.config.max_message_chars
    if len(body.query) > limit:
        raise TooLarge(f"A query may have {limit} characters.", "query")
    defaults = services.defaults
    top_k = body.top_k or defaults.top_k
    settings = replace(
        defaults,
        tenant=context.caller.tenant,
        groups=context.caller.groups,
        filter=body.filter.filter() if body.filter else defaults.filter,
        guard=False,
        retrieve=True,
        top_k=top_k,
        candidates=max(defaults.candidates, top_k),
        rerank=defaults.rerank if body.rerank is None else body.rerank,
    )
    trace = services.tracer.start(
        "search", body.query, context.caller.name, None, {"request_id": context.request_id, "tenant": settings.tenant}
    )
    clock = Clock()
    draft = Prompt(settings.model, (Message("user", body.query),))
    fields = {"level": "WARNING", "status_message": "nobody waited for the end"}
    try:
        work = consider(draft, settings, services.stages(trace), clock)
        found = await context.attended(work, "search")
        fields = {}
    except (ClientGone, CancelledError):
        raise
    except BaseException as error:
        fields = {"level": "ERROR", "status_message": type(error).__name__}
        raise
    finally:
        trace.end(**fields)
    clock.mark("total")
    result = SearchResult(hits=scored(found.hits), timings=clock.ms, degraded=clock.degraded, trace_id=trace.id)
    headers = {"X-Trace-Id": trace.id, "Server-Timing": server_timing(clock.ms)}
    return Response(result.model_dump_json(), 200, headers, "application/json")
