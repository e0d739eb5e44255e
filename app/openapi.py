"""What /openapi.json tells beyond what FastAPI finds by itself: errors, API keys, and a body of several types."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from app.document_schema import DocumentsRequest
from app.schema import ErrorEnvelope

ERRORS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": ErrorEnvelope, "description": "The request cannot be served; `error.param` names the field."},
    "5XX": {"model": ErrorEnvelope, "description": "It failed on our side; with `Retry-After`, trying again can help."},
}

DESCRIPTION = "Answers questions from documents, with citations. It speaks OpenAI's API; `raglan` marks what is added."


def describe(app: FastAPI, keyed: bool) -> None:
    """Make `app.openapi` complete. The document is made once."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, description=DESCRIPTION, routes=app.routes)
            add_documents(made["components"]["schemas"])
            if keyed:
                add_keys(made)
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def add_documents(schemas: dict[str, Any]) -> None:
    """The shapes of a body that its route reads itself, so that FastAPI does not know them."""
    schema = DocumentsRequest.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs"))
    schemas["DocumentsRequest"] = schema


def add_keys(made: dict[str, Any]) -> None:
    """Everything under /v1/ asks for a key."""
    made["components"]["securitySchemes"] = {"key": {"type": "http", "scheme": "bearer"}}
    for path, item in made["paths"].items():
        for operation in item.values() if path.startswith("/v1/") else ():
            operation["security"] = [{"key": []}]
