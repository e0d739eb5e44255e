"""What wraps every request, as plain ASGI: nothing here costs anything per streamed chunk but one function call."""

import re
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import ForeignOrigin, failure, record

REQUEST_ID = re.compile(r"[\w.-]{1,128}", re.ASCII)
READING = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class RequestId:
    """Gives each request an id: the client's `X-Request-Id` where it is a plain word, or a new one."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        given = Headers(scope=scope).get("x-request-id", "")
        request_id = given if REQUEST_ID.fullmatch(given) else uuid.uuid4().hex
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["x-request-id"] = request_id
            await send(message)

        await self.app(scope, receive, send_with_id)


@dataclass(frozen=True, slots=True)
class Timing:
    """Tells in `Server-Timing` how long a response took to begin, where the route tells nothing finer."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begin = time.perf_counter()

        async def send_with_time(message: Message) -> None:
            if message["type"] == "http.response.start":
                ms = round((time.perf_counter() - begin) * 1e3, 3)
                MutableHeaders(scope=message).setdefault("server-timing", f"total;dur={ms}")
            await send(message)

        await self.app(scope, receive, send_with_time)


@dataclass(frozen=True, slots=True)
class Faults:
    """Answers what no route foresaw with a bare 500; the log has the rest, under the request's id."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def send_and_note(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, send_and_note)
        except Exception as error:
            if started or scope["type"] != "http":
                raise
            await record(error, scope["state"]["request_id"]).response()(scope, receive, send)


@dataclass(frozen=True, slots=True)
class SameSite:
    """Refuses what may change something when a page of another website sends it, unless `origins` names the page's.

    CORS does not: a browser sends a form to anybody without asking. What is no browser tells no origin, and is let in.
    """

    app: ASGIApp
    origins: Sequence[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in READING and self.foreign(Headers(scope=scope)):
            refused = ForeignOrigin("A page of another website may not send this: add its origin to http.cors_origins.")
            return await failure(refused).response()(scope, receive, send)
        await self.app(scope, receive, send)

    def foreign(self, headers: Headers) -> bool:
        origin = headers.get("origin")
        if origin in self.origins or "*" in self.origins:
            return False
        # Browsers send it to https and loopback addresses only.
        if site := headers.get("sec-fetch-site"):
            return site == "cross-site"
        return origin is not None and not (host(origin) and host(origin) == host(f"//{headers.get('host', '')}"))


def host(url: str) -> str:
    """The name of the host in a URL; empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


class BodyTooLarge(HTTPException):
    """More than the configured bytes came. An HTTPException, since FastAPI lets only those through while it reads."""

    def __init__(self, limit: int) -> None:
        super().__init__(413, f"The body is larger than {limit} bytes.")


@dataclass(frozen=True, slots=True)
class BodyLimit:
    """Refuses a body over `limit` bytes: by its declared length, or while reading where none is declared."""

    app: ASGIApp
    limit: int

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = Headers(scope=scope).get("content-length", "0")
        if not declared.isdecimal():
            refused = HTTPException(400, "Content-Length is not a number.")
            return await failure(refused).response()(scope, receive, send)
        if int(declared[:20]) > self.limit:
            return await failure(BodyTooLarge(self.limit)).response()(scope, receive, send)
        read = 0

        async def receive_and_count() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > self.limit:
                raise BodyTooLarge(self.limit)
            return message

        await self.app(scope, receive_and_count, send)
