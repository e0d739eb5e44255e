"""/healthz: this process answers. /readyz: everything behind it does too."""

import asyncio
import json
from typing import Literal

from fastapi import APIRouter, Request, Response

from app.context import Here
from app.schema import Shape
from app.services import Dependency, Services

router = APIRouter(tags=["health"])

PATIENCE_S = 5.0


class Health(Shape):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class DependencyLine(Shape):
    """One part behind the API."""

    name: str
    ready: bool
    detail: str


class Readiness(Shape):
    """Whether requests can be answered, and by which configuration."""

    ready: bool
    digest: str
    dependencies: list[DependencyLine]


READY = {
    "application/json": {"schema": {"$ref": "#/components/schemas/Readiness"}},
    "text/plain": {"schema": {"type": "string"}},
}


@router.get("/healthz", summary="Is the process alive?", response_description="It is")
async def healthz() -> Health:
    """Answer without asking anybody."""
    return Health()


@router.get(
    "/readyz",
    summary="Can it answer?",
    response_description="It can",
    response_model=Readiness,
    responses={200: {"content": READY}, 503: {"model": Readiness, "description": "Not ready", "content": READY}},
)
async def readyz(request: Request, context: Here) -> Response:
    """List every dependency and the configuration's digest: one line each, or as JSON where that is asked for."""
    dependencies = await ask(context.services)
    ready = all(d.ready for d in dependencies)
    status = 200 if ready else 503
    digest = context.services.digest
    if "application/json" in request.headers.get("accept", ""):
        lines = [DependencyLine(name=d.name, ready=d.ready, detail=d.detail) for d in dependencies]
        body = Readiness(ready=ready, digest=digest, dependencies=lines).model_dump()
        return Response(json.dumps(body), status, media_type="application/json")
    text = [
        f"{d.name}: {'ready' if d.ready else 'not ready'}{f' ({d.detail})' if d.detail else ''}" for d in dependencies
    ]
    return Response("\n".join([*text, f"configuration: {digest}", ""]), status, media_type="text/plain")


async def ask(services: Services) -> list[Dependency]:
    """The dependencies' own word; a silent one makes the whole not ready, since who is silent is not known."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await services.dependencies()
    except TimeoutError:
        return [Dependency("dependencies", False, f"no answer in {PATIENCE_S:g} s")]
