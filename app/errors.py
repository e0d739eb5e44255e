"""Every error a client can see, as OpenAI's envelope. Domain errors are looked up by class, nearest ancestor first."""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match, Route

from app.connection import ClientGone
from app.validation import describe
from rag import errors as domain

log = logging.getLogger("raglan.app")

INVALID, AUTH, LIMIT, SERVER = "invalid_request_error", "authentication_error", "rate_limit_error", "server_error"


class UnknownModel(domain.NotFound):
    """No such model or release is served."""


class UnknownDocument(domain.NotFound):
    """The caller's tenant has no such document."""


class ForeignGroup(domain.InvalidInput):
    """A document is given to a group that the caller is not in."""


class NotReviewer(domain.RaglanError):
    """The caller's key has not the role that reviewing needs."""


class UnknownReview(domain.NotFound):
    """The caller may see no flagged exchange of this id."""


class AlreadyDecided(domain.InvalidInput):
    """A reviewer has decided otherwise before."""


class KeyReused(domain.InvalidInput):
    """An idempotency key came with another request before."""


class UnsupportedBody(domain.InvalidInput):
    """The body is not of a media type this route takes."""


class ForeignOrigin(domain.RaglanError):
    """A page of another website sent the request."""


TABLE: dict[type[BaseException], tuple[int, str, str]] = {
    domain.InvalidInput: (400, INVALID, "invalid_value"),
    domain.Unsupported: (400, INVALID, "unsupported_parameter"),
    domain.PromptTooLong: (400, INVALID, "context_length_exceeded"),
    domain.UnreadableDocument: (400, INVALID, "unreadable_document"),
    domain.TooLarge: (413, INVALID, "too_large"),
    domain.UnsupportedMedia: (415, INVALID, "unsupported_media_type"),
    UnsupportedBody: (415, INVALID, "unsupported_media_type"),
    ForeignGroup: (403, INVALID, "foreign_group"),
    domain.IdTaken: (409, INVALID, "id_taken"),
    NotReviewer: (403, AUTH, "reviewer_required"),
    ForeignOrigin: (403, INVALID, "foreign_origin"),
    AlreadyDecided: (409, INVALID, "already_decided"),
    KeyReused: (422, INVALID, "idempotency_key_reused"),
    domain.NotFound: (404, INVALID, "not_found"),
    UnknownModel: (404, INVALID, "model_not_found"),
    UnknownDocument: (404, INVALID, "document_not_found"),
    UnknownReview: (404, INVALID, "review_not_found"),
    domain.Unauthenticated: (401, AUTH, "invalid_api_key"),
    domain.Overloaded: (429, LIMIT, "overloaded"),
    domain.StageUnavailable: (503, SERVER, "stage_unavailable"),
    domain.ModelAsleep: (503, SERVER, "model_asleep"),
    domain.DeadlineExceeded: (504, SERVER, "deadline_exceeded"),
    domain.StageFailed: (500, SERVER, "stage_failed"),
    domain.RaglanError: (500, SERVER, "internal_error"),
}
"""Class to (status, type, code)."""

GONE = (ClientGone, ClientDisconnect)

HTTP_CODES = {
    400: "invalid_request",
    401: "invalid_api_key",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
    415: "unsupported_media_type",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as the client sees it."""

    status: int
    type: str
    code: str
    message: str
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> dict[str, Any]:
        """OpenAI's envelope."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def response(self) -> Response:
        return Response(json.dumps(self.body()), self.status, dict(self.headers), "application/json")


def failure(error: BaseException) -> Failure:
    """What a client may know of `error`; what is not in the table becomes a 500 without a word about its cause.

    Ray hands a remote error over as a subclass of its class whose text shows remote paths: its `cause` is the original.
    """
    if isinstance(error, domain.RaglanError):
        cause = getattr(error, "cause", None)
        origin = cause if isinstance(cause, domain.RaglanError) else error
        status, kind, code = next(TABLE[c] for c in type(origin).__mro__ if c in TABLE)
        return Failure(status, kind, code, str(origin), origin.param, headers_of(origin))
    if isinstance(error, RequestValidationError):
        return invalid(error)
    if isinstance(error, HTTPException):
        status = error.status_code
        code = HTTP_CODES.get(status, "invalid_request" if status < 500 else "internal_error")
        return Failure(status, INVALID if status < 500 else SERVER, code, error.detail, None, error.headers or {})
    return Failure(500, SERVER, "internal_error", "Something went wrong on our side.")


def headers_of(error: domain.RaglanError) -> dict[str, str]:
    if isinstance(error, domain.Overloaded | domain.ModelAsleep):
        return {"Retry-After": str(error.retry_after_s)}
    if isinstance(error, domain.StageUnavailable):
        return {"Retry-After": "1"}
    if isinstance(error, domain.Unauthenticated):
        return {"WWW-Authenticate": "Bearer"}
    return {}


def invalid(error: RequestValidationError) -> Failure:
    """The first thing that is wrong with a body."""
    problem = describe(error.errors(), error.body)
    return Failure(400, INVALID, problem.code, problem.message, problem.param)


def record(error: BaseException, request_id: str) -> Failure:
    """Turn `error` into what the client sees; what is our fault is logged with its request id."""
    seen = failure(error)
    if seen.status >= 500:
        expected = isinstance(error, domain.StageUnavailable | domain.ModelAsleep | domain.DeadlineExceeded)
        log.error("request %s failed: %s", request_id, seen.message, exc_info=None if expected else error)
    return seen


async def handle(request: Request, error: Exception) -> Response:
    if isinstance(error, GONE):
        return Response(status_code=499)
    if not_json(request, error):
        error = UnsupportedBody("Send the body as application/json.")
    if isinstance(error, HTTPException) and error.status_code == 405:
        error.headers = {"Allow": ", ".join(methods(request))}
    return record(error, request.state.request_id).response()


def methods(request: Request) -> list[str]:
    """Every method this path takes. Starlette tells only those of the first route."""
    routes = [r for r in request.app.routes if isinstance(r, Route) and r.matches(request.scope)[0] != Match.NONE]
    return sorted({method for route in routes for method in route.methods or ()})


def not_json(request: Request, error: Exception) -> bool:
    """Whether a body was refused because it does not claim to be JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    refused = isinstance(error, RequestValidationError) and isinstance(error.body, bytes)
    return refused and not (kind == "application/json" or kind.endswith("+json"))


def install(app: FastAPI) -> None:
    """Answer every error that a route or the router raises."""
    for kind in (domain.RaglanError, RequestValidationError, HTTPException, *GONE):
        app.add_exception_handler(kind, handle)
