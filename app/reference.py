"""/docs: the API's reference, rendered here from /openapi.json, so that it needs no script and no other host."""

import re
from functools import cache
from pathlib import Path

from fastapi import FastAPI
from jinja2 import Environment, Template
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from app.page_routes import SECURITY, Asset

HERE = Path(__file__).parent

LIMITS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "over",
    "exclusiveMaximum": "under",
    "minLength": "characters at least",
    "maxLength": "characters at most",
    "minItems": "items at least",
    "maxItems": "items at most",
    "default": "default",
}
"""How JSON schema's bounds read."""

EXAMPLE = """curl -N {base}v1/chat/completions -H 'Content-Type: application/json' \\
  -d '{{"model": "{model}", "stream": true, "messages": [{{"role": "user", "content": "What is Raglan?"}}]}}'"""


def coded(text: str) -> Markup:
    """Escaped text in which `this` is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704


@cache
def template() -> Template:
    """The page, compiled once a process."""
    environment = Environment(autoescape=True)
    environment.filters["coded"] = coded
    return environment.from_string((HERE / "reference.html").read_text())


def routes(app: FastAPI) -> list[BaseRoute]:
    """/docs and its style sheet."""
    style = Asset("/docs/reference.css", (HERE / "reference.css").read_bytes(), "text/css; charset=utf-8")

    @cache
    def parts() -> list[str]:
        """What stands before and after the example, which names the address that the reader called."""
        return template().render(api=app.openapi(), limits=LIMITS, example="\0").split("\0")

    async def docs(request: Request) -> Response:
        model = next(iter(app.state.services.models), "")
        example = EXAMPLE.format(base=request.base_url, model=model)
        return HTMLResponse(str(escape(example)).join(parts()), headers={**SECURITY, "Cache-Control": "no-cache"})

    return [Route("/docs", docs, methods=["GET"], include_in_schema=False), style.route()]
