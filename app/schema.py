"""What all bodies share: closed models, strict scalars, and the error envelope."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictStr, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError


class Closed(BaseModel):
    """A request body: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def refuse_too_many(cls, body: Any) -> Any:
        """Raise for the first unknown field of too many: pydantic makes an error of each, which takes seconds."""
        if not isinstance(body, dict) or len(body) <= len(cls.model_fields):
            return body
        known = {field.alias or name for name, field in cls.model_fields.items()}
        unknown = next(name for name in body if name not in known)
        error = InitErrorDetails(type="extra_forbidden", loc=(unknown,), input=body[unknown])
        raise ValidationError.from_exception_data(cls.__name__, [error])


class Shape(BaseModel):
    """A response body."""

    model_config = ConfigDict(frozen=True)


def unquoted(value: Any) -> Any:
    """Let numbers through: pydantic itself would take "4" and true for them."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


Whole = BeforeValidator(unquoted)
"""Beside `int`, after its bounds: a whole number as JSON schema means it, 4.0 included, "4" not."""
Unicode = Annotated[StrictStr, Field(min_length=0)]
"""Any text. Only where a bound is given does pydantic refuse half a surrogate pair, which cannot be encoded."""
Words = Annotated[StrictStr, Field(min_length=1, pattern=r"\S")]
"""Text that is not blank."""
ModelId = Annotated[StrictStr, Field(min_length=1, max_length=200, description="The model to use.")]
TopK = Annotated[int, Field(ge=1, le=50, description="How many passages to keep."), Whole]


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
