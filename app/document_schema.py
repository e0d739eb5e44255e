"""The bodies of /v1/documents."""

import hashlib
from typing import Annotated, Any, Literal

from pydantic import Field, StrictStr

from app.context import Caller
from app.schema import Closed, Shape, Unicode, Words
from app.services import Group
from rag.types import Document, DocumentInfo

MAX_DOCUMENTS = 256
MAX_ID = 512
ID = r"^[^\x00-\x20\x7f]([^\x00-\x1f\x7f]*[^\x00-\x20\x7f])?$"
"""Anything printable that neither begins nor ends with a space."""
URL = r"^(https?://[^\s]+|[^\s:/?#]*([/?#][^\s]*)?)$"
"""An http address or a relative one: a citation may become a link, and a link must not be a script."""

DocumentId = Annotated[StrictStr, Field(max_length=MAX_ID, pattern=ID)]
Key = Annotated[StrictStr, Field(min_length=1, max_length=64)]
Value = Annotated[StrictStr, Field(max_length=1_000)]
Title = Annotated[StrictStr, Field(max_length=500)]
Url = Annotated[StrictStr, Field(max_length=2_000, pattern=URL)]
Metadata = Annotated[dict[Key, Value], Field(max_length=32, fail_fast=True)]


class NewDocument(Closed):
    """A text to store. One with the `id` of a stored document replaces it; without an id its content names it."""

    id: DocumentId | None = None
    title: Title = ""
    url: Url = ""
    text: Words
    metadata: Annotated[Metadata, Field(default_factory=dict)]
    groups: Annotated[
        list[Group], Field(max_length=64, default_factory=list, description="Who may see it; empty: all of the tenant.")
    ]

    def document(self, caller: Caller) -> Document:
        """As the ingestor takes it."""
        groups = tuple(dict.fromkeys(self.groups))
        name = self.id or self.name()
        return Document(name, self.text, self.title, self.url, self.metadata, caller.tenant, groups)

    def name(self) -> str:
        """An id made from the content: the same text under the same title is the same document."""
        content = "\0".join((self.title, self.url, self.text))
        return f"doc-{hashlib.sha256(content.encode()).hexdigest()[:24]}"


class ReadDocument(Closed):
    """What a file says of a document, within the limits of a NewDocument. A text may be blank beside others."""

    id: DocumentId
    title: Title
    url: Url
    text: Unicode
    metadata: Metadata


class DocumentsRequest(Closed):
    """Documents to store."""

    documents: Annotated[list[NewDocument], Field(min_length=1, max_length=MAX_DOCUMENTS, fail_fast=True)]


class StoredDocument(Shape):
    """A document as it is stored."""

    id: str
    title: str
    url: str
    passages: int = Field(description="How many passages it was cut into.")
    metadata: dict[str, str]


class AddedDocument(StoredDocument):
    """A document as it was just stored. All of its passages are, the suspicious ones too."""

    suspicious: dict[str, float] = Field(
        description="Passages that read like instructions to the model, by id, with scores from 0.5 to 1. The policy "
        "decides at each question whether an answer may rest on them."
    )


class AddedList(Shape):
    """Documents that were just stored."""

    object: Literal["list"] = "list"
    data: list[AddedDocument]


class DocumentList(Shape):
    """Documents of the caller's tenant."""

    object: Literal["list"] = "list"
    data: list[StoredDocument]


class Removed(Shape):
    """A document that is gone."""

    id: str
    object: Literal["document"] = "document"
    deleted: Literal[True] = True


def listed(infos: list[DocumentInfo]) -> DocumentList:
    return DocumentList(data=[StoredDocument(**stored(info)) for info in infos])


def added(infos: list[DocumentInfo]) -> AddedList:
    return AddedList(data=[AddedDocument(**stored(info), suspicious=dict(info.suspicious)) for info in infos])


def stored(info: DocumentInfo) -> dict[str, Any]:
    """The fields of a StoredDocument."""
    return {
        "id": info.id,
        "title": info.title,
        "url": info.url,
        "passages": info.passages,
        "metadata": dict(info.metadata),
    }


FORM: dict[str, Any] = {
    "type": "object",
    "properties": {
        "files": {
            "type": "array",
            "items": {"type": "string", "format": "binary"},
            "minItems": 1,
            "maxItems": MAX_DOCUMENTS,
            "description": "Files of type .md, .rst, .html, .txt, .pdf, .docx, .ipynb, .json, .jsonl or source code; a "
            "file's name becomes the document's id.",
        }
    },
    "required": ["files"],
    "additionalProperties": False,
}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": "#/components/schemas/DocumentsRequest"}},
            "multipart/form-data": {"schema": FORM},
        },
    }
}
"""The body of POST /v1/documents as OpenAPI tells it: its route reads either type itself."""
