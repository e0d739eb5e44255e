"""What a search may be narrowed to: the `filter` of /v1/search and of chat's `raglan` options."""

from typing import Annotated

from pydantic import AfterValidator, Field, StrictStr, WithJsonSchema

from app.schema import Closed
from rag.scope import moment
from rag.types import Filter

Mark = Annotated[StrictStr, Field(min_length=1, max_length=200)]
Marks = Mark | Annotated[list[Mark], Field(min_length=1, max_length=32, fail_fast=True)]


def dated(text: str) -> str:
    """Raise ValueError for what is no date."""
    if moment(text) is None:
        raise ValueError("Input should be a date or a time, as ISO 8601 writes it")
    return text


Date = Annotated[
    StrictStr,
    Field(max_length=40),
    AfterValidator(dated),
    WithJsonSchema({"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time", "maxLength": 40}]}),
]


class Dates(Closed):
    """The time a document's date lies in, both ends included."""

    gte: Date | None = None
    lte: Date | None = None


class Narrowed(Closed):
    """Only documents whose metadata says so. Where a list is given, any of it."""

    source: Marks | None = Field(None, description="`source` in the document's metadata.")
    tag: Marks | None = Field(None, description="One of `tags` in the document's metadata.")
    date: Dates | None = Field(None, description="`date` in the document's metadata.")

    def filter(self) -> Filter:
        """As the retriever takes it."""
        dates = self.date or Dates()
        return Filter(listed(self.source), listed(self.tag), dates.gte or "", dates.lte or "")


def listed(marks: str | list[str] | None) -> tuple[str, ...]:
    return (marks,) if isinstance(marks, str) else tuple(marks or ())
