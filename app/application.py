"""The HTTP application, from its services alone: `create_app` is a pure function."""

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from app import chat, documents, embeddings, errors, feedback, health, models, openapi, reference, reviews, search
from app.auth import Authenticate
from app.flagged import Flags
from app.middleware import BodyLimit, Faults, RequestId, SameSite, Timing
from app.page_routes import assets
from app.services import HttpConfig, Services

VERSION = "0.1.0"
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/docs", "/docs/reference.css", "/openapi.json"})


def create_app(services: Services) -> FastAPI:
    """Every route over `services`. Nothing is opened and nobody is asked before the first request."""
    config = services.config
    page = assets()
    open_paths = OPEN_PATHS | {asset.path for asset in page}
    app = FastAPI(
        title="Raglan",
        version=VERSION,
        docs_url=None,
        redoc_url=None,
        responses=openapi.ERRORS,
        middleware=[
            Middleware(Timing),
            Middleware(RequestId),
            *cors(config),
            Middleware(Faults),
            Middleware(SameSite, config.cors_origins),
            Middleware(Authenticate, config.api_keys, open_paths, services.defaults.tenant, config.review_without_key),
            Middleware(BodyLimit, config.max_body_bytes),
        ],
    )
    app.state.services = services
    app.state.flags = Flags(services.reviews, services.mask)
    errors.install(app)
    openapi.describe(app, keyed=bool(config.api_keys))
    for part in (chat, search, documents, models, embeddings, feedback, reviews, health):
        app.include_router(part.router)
    app.router.routes.extend(reference.routes(app))
    app.router.routes.extend(asset.route() for asset in page)
    return app


def cors(config: HttpConfig) -> list[Middleware]:
    """Lets browsers call from the configured origins, and from no other.

    They may send any header: OpenAI's client has a dozen of its own, `x-stainless-*`, and more with each version.
    """
    if not config.cors_origins:
        return []
    exposed = ["X-Request-Id", "X-Trace-Id", "Server-Timing", "Retry-After"]
    return [
        Middleware(
            CORSMiddleware,
            allow_origins=config.cors_origins,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=exposed,
        )
    ]
