"""/v1/documents: add, list and remove the caller's documents."""

import asyncio
import json
import re
from dataclasses import replace
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException

from app.context import Caller, Context, Here
from app.document_schema import (
    BODY,
    ID,
    MAX_DOCUMENTS,
    MAX_ID,
    AddedList,
    DocumentList,
    DocumentsRequest,
    ReadDocument,
    Removed,
    added,
    listed,
)
from app.errors import ForeignGroup, UnknownDocument, UnsupportedBody
from app.validation import describe
from rag.errors import IdTaken, InvalidInput, RaglanError, TooLarge, UnreadableDocument
from rag.types import Document, DocumentInfo

router = APIRouter(tags=["documents"])

Placed = tuple[str, Document]
"""A document behind the field that it came in: `documents[0]` or `files[0]`. A file may hold several."""
DocumentPath = Annotated[str, Path(max_length=MAX_ID, pattern=ID, description="The document's id, slashes and all.")]


@router.post(
    "/v1/documents",
    status_code=201,
    summary="Add documents",
    response_description="Stored and searchable",
    openapi_extra=BODY,
)
async def add(request: Request, context: Here) -> AddedList:
    """Store documents, as JSON or as files. They are searchable when the answer comes, suspicious ones too."""
    placed = await context.within(received(request, context), "read")
    await context.within(refuse_hidden(placed, context), "retriever")
    return added(await context.within(ingest([document for _, document in placed], context), "ingest"))


@router.get("/v1/documents", summary="List the documents", response_description="The documents")
async def documents(context: Here) -> DocumentList:
    """List the caller's documents, ordered by id."""
    return listed(await context.within(context.services.library.documents(*seen(context)), "retriever"))


@router.delete("/v1/documents/{id:path}", summary="Remove a document", response_description="Removed")
async def remove(id: DocumentPath, context: Here) -> Removed:
    """Remove a document and its passages for good."""
    if not await context.within(context.services.library.delete(id, *seen(context)), "retriever"):
        raise UnknownDocument("There is no document with this id.", "id")
    return Removed(id=id)


def seen(context: Context) -> tuple[str, tuple[str, ...]]:
    """The tenant and the groups whose documents the caller sees."""
    return context.caller.tenant, context.caller.groups


async def refuse_hidden(placed: list[Placed], context: Context) -> None:
    """Raise IdTaken where a document would replace one that the caller may not see."""
    places = {document.id: place for place, document in placed}
    if hidden := await context.services.library.hidden(list(places), *seen(context)):
        place = places[hidden[0]]
        # A form has no field for the id.
        param = place if place.startswith("files") else f"{place}.id"
        raise IdTaken("This id is taken by a document of another group.", param)


async def ingest(documents: list[Document], context: Context) -> list[DocumentInfo]:
    return await context.services.ingestor.add(documents, context.caller.groups)


async def received(request: Request, context: Context) -> list[Placed]:
    """The documents in a body of either type. Raises what is wrong with them, naming the field."""
    limit = context.services.config.max_document_chars
    match request.headers.get("content-type", "").partition(";")[0].strip().lower():
        case "application/json":
            documents = parsed(await request.body(), context.caller)
            return checked([(f"documents[{n}]", document) for n, document in enumerate(documents)], limit)
        case "multipart/form-data":
            async with request.form(max_files=MAX_DOCUMENTS, max_fields=MAX_DOCUMENTS) as form:
                return checked(await uploaded(form, context), limit)
        case _:
            raise UnsupportedBody("Send application/json or multipart/form-data.")


def parsed(body: bytes, caller: Caller) -> list[Document]:
    """A JSON body's documents. Raises RequestValidationError as FastAPI's own routes do, and ForeignGroup for groups
    that the caller is not in.
    """
    try:
        given: Any = json.loads(body)
    except json.JSONDecodeError as error:
        raise RequestValidationError([{"type": "json_invalid", "loc": ("body", error.pos)}]) from error
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, "There was an error parsing the body") from error
    try:
        documents = [d.document(caller) for d in DocumentsRequest.model_validate(given).documents]
    except ValidationError as error:
        raise RequestValidationError(located(error), body=given) from error
    for n, document in enumerate(documents):
        if not set(document.groups).issubset(caller.groups):
            raise ForeignGroup("Your key has not all of these groups.", f"documents[{n}].groups")
    return documents


def located(error: ValidationError) -> list[dict[str, Any]]:
    """The errors as FastAPI places them."""
    return [{**e, "loc": ("body", *e["loc"])} for e in error.errors(include_url=False)]


async def uploaded(form: FormData, context: Context) -> list[Placed]:
    """A form's files as documents, named by their files. Raises what the reader raises, with the file's place."""
    placed: list[Placed] = []
    for n, (name, file) in enumerate(form.multi_items()):
        if name not in ("files", "file") or not isinstance(file, UploadFile):
            raise InvalidInput("Send each file in a field named 'files'.", name[:100])
        filename, place = file.filename or "", f"files[{n}]"
        if len(filename) > MAX_ID or not re.fullmatch(ID, filename):
            raise InvalidInput("The file's name cannot be an id.", place)
        try:
            found = await asyncio.to_thread(context.services.read, filename, await file.read())
        except RaglanError as error:
            error.param = place
            raise
        if len(placed) + len(found) > MAX_DOCUMENTS:
            raise TooLarge(f"An upload may hold {MAX_DOCUMENTS} documents.", place)
        for document in found:
            refuse_unfit(document, place)
            placed.append((place, replace(document, tenant=context.caller.tenant)))
    if not placed:
        raise InvalidInput("There is no file in the form.", "files")
    return placed


def refuse_unfit(document: Document, place: str) -> None:
    """Raise InvalidInput where a file says of a document what a JSON body may not, UnreadableDocument for what no
    UTF-8 can hold.
    """
    said = {name: getattr(document, name) for name in ReadDocument.model_fields}
    try:
        ReadDocument.model_validate(said)
    except ValidationError as error:
        problems = located(error)
        if any(problem["type"] == "string_unicode" for problem in problems):
            raise UnreadableDocument("A text in the file holds half a surrogate pair.", place) from error
        raise InvalidInput(f"In a document of the file: {describe(problems, said).message}", place) from error


def checked(placed: list[Placed], limit: int) -> list[Placed]:
    """Raise TooLarge over `limit` characters, InvalidInput where two share an id: which would win?"""
    seen: set[str] = set()
    for place, document in placed:
        if len(document.text) > limit:
            raise TooLarge(f"A document may have {limit} characters.", place)
        if document.id in seen:
            raise InvalidInput("Two documents have the same id.", place)
        seen.add(document.id)
    return placed
