"""The pages: the files of app/page, read once, each at its own path. Nothing else of the disk can be reached."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PAGE = Path(__file__).parent / "page"

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".woff2": "font/woff2",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
}
"""What may be served: other files are left alone."""

PAGES = {"/page/index.html": "/", "/page/reviews.html": "/reviews"}
"""What stands at an address of its own."""

SECURITY = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """A file of the page. Browsers may keep it but ask each time whether it changed."""

    path: str
    body: bytes
    type: str

    async def __call__(self, request: Request) -> Response:
        headers = {**SECURITY, "Cache-Control": "no-cache", "ETag": f'"{hashlib.sha256(self.body).hexdigest()[:32]}"'}
        if headers["ETag"] in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(self.body, headers={**headers, "Content-Type": self.type})

    def route(self) -> Route:
        return Route(self.path, self.__call__, methods=["GET"], include_in_schema=False)


def assets(root: Path = PAGE) -> list[Asset]:
    """Every file under `root`, each at `/page/...` or where PAGES says."""
    files = sorted(p for p in root.rglob("*") if p.suffix in TYPES and p.is_file())
    names = ["/page/" + p.relative_to(root).as_posix() for p in files]
    return [
        Asset(PAGES.get(name, name), file.read_bytes(), TYPES[file.suffix])
        for name, file in zip(names, files, strict=True)
    ]
