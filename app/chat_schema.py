"""The body of POST /v1/chat/completions: OpenAI's fields as far as they are served, and Raglan's own."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator, validator_for
from pydantic import Field, StrictBool, StrictFloat, StrictInt, StrictStr, field_validator, model_validator

from app.schema import Closed, ModelId, TopK, Whole, Words
from rag.errors import InvalidInput, Unsupported

MAX_SCHEMA_CHARS = 32_000
MAX_WHERE = 200
MAX_TOKENS = 1_000_000

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0, 0.0),
    "function_call": ("none",),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "metadata": ({},),
    "modalities": (["text"],),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "presence_penalty": (0, 0.0),
    "reasoning_effort": (),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": (),
    "web_search_options": (),
}
"""OpenAI's parameters that are not served, and the values beside null that ask for nothing."""


class TextPart(Closed):
    """A part of a message."""

    type: Literal["text"]
    text: Words


Content = Words | Annotated[list[TextPart], Field(min_length=1, max_length=64)]
Name = Annotated[StrictStr, Field(max_length=64)]


class AskingMessage(Closed):
    """What the user says, or what the model is told to do."""

    role: Literal["system", "developer", "user"]
    content: Content
    name: Name | None = None


class AssistantMessage(Closed):
    """What the model said before. It may be sent back as it was received."""

    role: Literal["assistant"]
    content: StrictStr | Annotated[list[TextPart], Field(min_length=1, max_length=64)]
    name: Name | None = None
    annotations: list[dict[str, Any]] | None = None
    refusal: StrictStr | None = None
    audio: None = None
    function_call: None = None
    tool_calls: None = None


ChatMessage = Annotated[AskingMessage | AssistantMessage, Field(discriminator="role")]


def text_of(message: AskingMessage | AssistantMessage) -> str:
    """The content as one string."""
    content = message.content
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


class StreamOptions(Closed):
    """Options of a streamed answer."""

    include_usage: StrictBool = Field(False, description="Send one more chunk, with the tokens used.")


class PlainText(Closed):
    """An answer in prose."""

    type: Literal["text"]


class JsonObject(Closed):
    """An answer that is any JSON object."""

    type: Literal["json_object"]


class NamedSchema(Closed):
    """A JSON schema the answer obeys. It is always enforced, `strict` or not."""

    name: StrictStr = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: Annotated[StrictStr, Field(max_length=1_000)] | None = None
    schema_: dict[str, Any] = Field(alias="schema")
    strict: StrictBool | None = None

    @field_validator("schema_")
    @classmethod
    def valid(cls, schema: dict[str, Any]) -> dict[str, Any]:
        """Check the schema against its own meta-schema."""
        if not isinstance(schema.get("$schema", ""), str):
            raise ValueError("not a valid JSON schema, at '/$schema'")
        if len(json.dumps(schema)) > MAX_SCHEMA_CHARS:
            raise ValueError(f"the schema is longer than {MAX_SCHEMA_CHARS} characters")
        try:
            validator_for(schema, Draft202012Validator).check_schema(schema)
        except SchemaError as error:
            where = "/".join(str(step) for step in error.path)
            raise ValueError(f"not a valid JSON schema, at '/{where[:MAX_WHERE]}'") from error
        except RecursionError as error:
            raise ValueError("the schema is nested too deep") from error
        return schema


class JsonSchema(Closed):
    """An answer that obeys a JSON schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[PlainText | JsonObject | JsonSchema, Field(discriminator="type")]
Stop = Annotated[StrictStr, Field(min_length=1, max_length=100)]


SessionId = Annotated[StrictStr, Field(pattern=r"^[\x21-\x7e]{1,128}$", description="Groups traces.")]


class Options(Closed):
    """What Raglan adds to OpenAI's parameters."""

    retrieve: StrictBool | None = Field(default=None, description="Whether to answer from the documents (default).")
    top_k: TopK | None = None
    session_id: SessionId | None = None


class ChatRequest(Closed):
    """A conversation to answer. The last message is the question."""

    model: ModelId
    messages: list[ChatMessage] = Field(min_length=1)
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS), Whole] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS), Whole] | None = None
    temperature: Annotated[StrictFloat | StrictInt, Field(ge=0, le=2)] | None = Field(None, description="Default: 0.")
    top_p: Annotated[StrictFloat | StrictInt, Field(gt=0, le=1)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63), Whole] | None = None
    response_format: ResponseFormat | None = None
    n: Literal[1] | None = None
    user: Annotated[StrictStr, Field(max_length=256, description="Your user, for the trace.")] | None = None
    raglan: Options = Options()

    @model_validator(mode="before")
    @classmethod
    def refuse_unsupported(cls, body: Any) -> Any:
        """Raise Unsupported for what OpenAI offers and Raglan does not; drop it where it asks for nothing."""
        if not isinstance(body, dict):
            return body
        for name in NEUTRAL.keys() & body.keys():
            value = body[name]
            if value is not None and not any(type(value) is type(n) and value == n for n in NEUTRAL[name]):
                raise Unsupported(f"The parameter '{name}' is not supported here with this value.", name)
        return {k: v for k, v in body.items() if k not in NEUTRAL or k == "n"}

    @model_validator(mode="after")
    def coherent(self) -> "ChatRequest":
        """Check what concerns several fields; raises InvalidInput naming one."""
        if self.messages[-1].role != "user":
            raise InvalidInput("The last message must be the user's.", f"messages[{len(self.messages) - 1}].role")
        if self.stream_options and not self.stream:
            raise InvalidInput("Only a streamed answer has stream options.", "stream_options")
        if self.max_tokens and self.max_completion_tokens:
            raise InvalidInput("Give max_tokens or max_completion_tokens, not both.", "max_tokens")
        return self

    def stops(self) -> tuple[str, ...]:
        """`stop` as a tuple."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    def schema_text(self) -> str | None:
        """The JSON schema the answer must obey, as JSON text."""
        match self.response_format:
            case JsonSchema(json_schema=named):
                return json.dumps(named.schema_)
            case JsonObject():
                return '{"type": "object"}'
            case _:
                return None
