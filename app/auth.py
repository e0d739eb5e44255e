"""Who calls: API keys, stored as SHA-256 and compared in constant time."""

import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.context import Caller
from app.errors import failure
from app.services import KeyConfig
from rag.errors import Unauthenticated


def digest(key: str) -> str:
    """The SHA-256 of a key, in hex, as the configuration stores it."""
    return hashlib.sha256(key.encode()).hexdigest()


def holder(key: str, keys: Sequence[KeyConfig]) -> KeyConfig | None:
    """Whose `key` is. Every configured key is compared, whichever matches: time tells nothing."""
    given = digest(key)
    found = None
    for candidate in keys:
        if hmac.compare_digest(given, candidate.sha256):
            found = candidate
    return found


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Lets in who has a key, notes who it is in `scope["state"]["caller"]`, and anybody on the `open_paths`.

    Without configured keys everybody is let in, as `tenant`, and may review where `review_without_key`.
    """

    app: ASGIApp
    keys: Sequence[KeyConfig]
    open_paths: frozenset[str]
    tenant: str
    review_without_key: bool = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            caller = self.caller(Headers(scope=scope).get("authorization", ""))
            if caller is None and self.path(scope) not in self.open_paths:
                refused = Unauthenticated("A valid API key is needed: send 'Authorization: Bearer <key>'.")
                return await failure(refused).response()(scope, receive, send)
            scope["state"]["caller"] = caller or Caller(None, self.tenant)
        await self.app(scope, receive, send)

    def caller(self, authorization: str) -> Caller | None:
        if not self.keys:
            return Caller(None, self.tenant, reviewer=self.review_without_key)
        scheme, _, key = authorization.partition(" ")
        held = holder(key.strip(), self.keys) if scheme.lower() == "bearer" else None
        if held is None:
            return None
        reviewer = "reviewer" in held.roles
        return Caller(held.name, held.tenant, held.groups, held.policy, reviewer, held.priority)

    @staticmethod
    def path(scope: Scope) -> str:
        path: str = scope["path"]
        return path.removeprefix(scope.get("root_path", ""))
