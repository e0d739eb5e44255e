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
    Removed,
    added,
    listed,
)
from app.errors import ForeignGroup, IdTaken, UnknownDocument, UnsupportedBody
from rag.errors import InvalidInput, RaglanError, TooLarge
from rag.types import Document, DocumentInfo

router = APIRouter(tags=["documents"])

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
    documents = await context.within(received(request, context), "read")
    await context.within(refuse_hidden(documents, context), "retriever")
    return added(await context.within(ingest(documents, context), "ingest"))


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


async def refuse_hidden(documents: list[Document], context: Context) -> None:
    """Raise IdTaken where a document would replace one that the caller may not see."""
    ids = [document.id for document in documents]
    if hidden := await context.services.library.hidden(ids, *seen(context)):
        place = f"documents[{ids.index(hidden[0])}].id"
        raise IdTaken("This id is taken by a document of another group.", place)


async def ingest(documents: list[Document], context: Context) -> list[DocumentInfo]:
    return await context.services.ingestor.add(documents)


async def received(request: Request, context: Context) -> list[Document]:
    """The documents in a body of either type. Raises what is wrong with them, naming the field."""
    limit = context.services.config.max_document_chars
    match request.headers.get("content-type", "").partition(";")[0].strip().lower():
        case "application/json":
            return checked(parsed(await request.body(), context.caller), "documents", limit)
        case "multipart/form-data":
            async with request.form(max_files=MAX_DOCUMENTS, max_fields=MAX_DOCUMENTS) as form:
                return checked(await uploaded(form, context), "files", limit)
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
        located = [{**e, "loc": ("body", *e["loc"])} for e in error.errors(include_url=False)]
        raise RequestValidationError(located, body=given) from error
    for n, document in enumerate(documents):
        if not set(document.groups).issubset(caller.groups):
            raise ForeignGroup("Your key has not all of these groups.", f"documents[{n}].groups")
    return documents


async def uploaded(form: FormData, context: Context) -> list[Document]:
    """A form's files as documents, named by their files. Raises what the reader raises, with the file's place."""
    documents = []
    for n, (name, file) in enumerate(form.multi_items()):
        if name not in ("files", "file") or not isinstance(file, UploadFile):
            raise InvalidInput("Send each file in a field named 'files'.", name[:100])
        filename = file.filename or ""
        if len(filename) > MAX_ID or not re.fullmatch(ID, filename):
            raise InvalidInput("The file's name cannot be an id.", f"files[{n}]")
        try:
            found = await asyncio.to_thread(context.services.read, filename, await file.read())
        except RaglanError as error:
            error.param = f"files[{n}]"
            raise
        if not all(len(document.id) <= MAX_ID and re.fullmatch(ID, document.id) for document in found):
            raise InvalidInput("An object's id in the file cannot be an id.", f"files[{n}]")
        documents += [replace(document, tenant=context.caller.tenant) for document in found]
        if len(documents) > MAX_DOCUMENTS:
            raise TooLarge(f"An upload may hold {MAX_DOCUMENTS} documents.", f"files[{n}]")
    if not documents:
        raise InvalidInput("There is no file in the form.", "files")
    return documents


def checked(documents: list[Document], field: str, limit: int) -> list[Document]:
    """Raise TooLarge over `limit` characters, InvalidInput where two share an id: which would win?"""
    seen: set[str] = set()
    for n, document in enumerate(documents):
        if len(document.text) > limit:
            raise TooLarge(f"A document may have {limit} characters.", f"{field}[{n}]")
        if document.id in seen:
            raise InvalidInput("Two documents have the same id.", f"{field}[{n}]")
        seen.add(document.id)
    return documents
