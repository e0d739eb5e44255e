"""POST /v1/chat/completions."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing

from fastapi import APIRouter, Response

from app.chat_schema import ChatRequest
from app.completion import ChatCompletion, server_timing
from app.context import Context, Here
from app.entry import Admitted
from app.sse import EventStream
from app.turn import Turn, events, open_turn
from rag.answer import Begin, End, Event

router = APIRouter(tags=["chat"])

STREAM = {"text/event-stream": {"schema": {"type": "string"}}}


@router.post(
    "/v1/chat/completions",
    summary="Answer a conversation",
    response_model=ChatCompletion,
    responses={200: {"description": "The answer; with `stream` as server-sent events.", "content": STREAM}},
)
async def chat(body: ChatRequest, context: Here, entry: Admitted) -> Response:
    """Answer the last message from the caller's documents, with citations.

    A stream sends text as it may leave. Its last chunk carries the finish reason, `delta.annotations` and `raglan`. A
    failure after the first byte is one event with an `error`, and no `[DONE]`. A request whose first text would be late
    is refused at once with 429, and `Retry-After` tells when it is its turn.
    """
    turn = await open_turn(body, context, entry)
    if body.stream:
        return await streamed(turn, context)
    end = await context.attended(last(events(turn, context)), "answer")
    completion = turn.completion(end)
    return Response(completion.model_dump_json(), 200, headers(turn, end.timings), "application/json")


async def streamed(turn: Turn, context: Context) -> Response:
    """Await the first event, so that what fails before it still gets its own status."""
    stream = events(turn, context)
    begin = await context.attended(first(stream), "answer")
    timings = begin.timings if isinstance(begin, Begin) else {}
    return EventStream(turn, stream, context.deadline, context.request_id, headers(turn, timings))


async def first(stream: AsyncGenerator[Event]) -> Event:
    return await anext(stream)


async def last(stream: AsyncGenerator[Event]) -> End:
    """Exhaust the stream and return its last event."""
    async with aclosing(stream):
        found = [event async for event in stream if isinstance(event, End)]
    return found[-1]


def headers(turn: Turn, timings: Mapping[str, float]) -> dict[str, str]:
    return {"X-Trace-Id": turn.trace.id, "Server-Timing": server_timing(timings)}
