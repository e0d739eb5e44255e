"""What all bodies share: closed models, strict scalars, and the error envelope."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StrictStr


class Closed(BaseModel):
    """A request body: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Shape(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


ModelId = Annotated[StrictStr, Field(min_length=1, max_length=200, description="The model to use.")]
TopK = Annotated[StrictInt, Field(ge=1, le=50, description="How many passages to keep.")]


class ErrorBody(Shape):
    """What went wrong. `code` is for programs, `message` for people; `param` names the field at fault."""

    message: str
    type: Literal["invalid_request_error", "authentication_error", "rate_limit_error", "server_error"]
    param: str | None
    code: str


class ErrorEnvelope(Shape):
    """OpenAI's error envelope."""

    error: ErrorBody


class Scored(Shape):
    """A passage found for a question. `score` orders the list; the others say where it came from, null: not asked."""

    n: int = Field(description="Its place in the list; a marker [n] in an answer cites it.")
    id: str
    document_id: str
    title: str
    url: str
    headings: list[str]
    text: str
    metadata: dict[str, str]
    score: float
    dense: float | None
    sparse: float | None
    rerank: float | None
