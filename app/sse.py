"""An answer as server-sent events: one `data:` line a piece, made from a template; any failure is one last event."""

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.chat_schema import TIERS
from app.completion import annotations, usage
from app.connection import ClientGone, cancelled, while_connected
from app.errors import record
from app.turn import Turn
from rag.answer import End, Event, Text
from rag.errors import DeadlineExceeded, StageFailed

DONE = b"data: [DONE]\n\n"
LAST_SEND_S = 5.0
"""How long the last bytes wait for a client that does not read."""


def line(data: Mapping[str, Any]) -> bytes:
    return f"data: {json.dumps(data)}\n\n".encode()


class Chunks:
    """The lines of one stream. What they share is rendered once."""

    def __init__(self, turn: Turn) -> None:
        self.turn = turn
        self.shared = {
            "id": turn.id,
            "object": "chat.completion.chunk",
            "created": turn.created,
            "model": turn.settings.model,
            "service_tier": TIERS[turn.draft.priority],
        }
        self.no_usage = {"usage": None} if turn.include_usage else {}
        before, after = self.chunk({"content": "@"}, None).split(b'"@"')
        self.before, self.after = before.decode(), after.decode()

    def chunk(self, delta: Mapping[str, Any], finish_reason: str | None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return line({**self.shared, "choices": [choice], **self.no_usage, **more})

    def begin(self) -> bytes:
        return self.chunk({"role": "assistant", "content": "", "refusal": None}, None)

    def text(self, text: str) -> bytes:
        return f"{self.before}{json.dumps(text)}{self.after}".encode()

    def end(self, end: End) -> bytes:
        """The finish reason with citations and report; then, where asked for, the usage; then the end mark."""
        marks = [a.model_dump() for a in annotations(end)]
        last = self.chunk({"annotations": marks}, end.finish_reason, raglan=self.turn.report(end).model_dump())
        if self.turn.include_usage:
            last += line({**self.shared, "choices": [], "usage": usage(end).model_dump()})
        return last + DONE


class EventStream(Response):
    """Sends the rest of `events`, whose first is known. Stops them the moment the client hangs up.

    A failure becomes one `error` event, which OpenAI's clients raise, and no end mark. A client that reads nothing is
    given up LAST_SEND_S after the deadline.
    """

    media_type = "text/event-stream"

    def __init__(
        self, turn: Turn, events: AsyncGenerator[Event], deadline: float, request_id: str, headers: Mapping[str, str]
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers({"Cache-Control": "no-cache", "X-Accel-Buffering": "no", **headers})
        self.turn = turn
        self.events = events
        self.deadline = deadline
        self.request_id = request_id

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await while_connected(receive, self.stream(send))
        except ClientGone:
            return

    async def stream(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        last = b""
        try:
            async with asyncio.timeout_at(self.deadline), aclosing(self.events):
                await self.relay(send)
        except asyncio.CancelledError:
            if cancelled():
                raise
            last = self.failed(StageFailed("answer", "a stage gave up"))
        except TimeoutError:
            last = self.failed(DeadlineExceeded("answer", "no end in time"))
        except Exception as error:
            last = self.failed(error)
        try:
            async with asyncio.timeout(LAST_SEND_S):
                await send({"type": "http.response.body", "body": last, "more_body": False})
        except TimeoutError:
            raise ClientGone from None

    def failed(self, error: Exception) -> bytes:
        return line(record(error, self.request_id).body())

    async def relay(self, send: Send) -> None:
        chunks = Chunks(self.turn)
        await send({"type": "http.response.body", "body": chunks.begin(), "more_body": True})
        async for event in self.events:
            if isinstance(event, Text):
                await send({"type": "http.response.body", "body": chunks.text(event.text), "more_body": True})
            elif isinstance(event, End):
                await send({"type": "http.response.body", "body": chunks.end(event), "more_body": True})
