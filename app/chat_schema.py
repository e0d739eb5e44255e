"""The body of POST /v1/chat/completions: OpenAI's fields as far as they are served, and Raglan's own."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictFloat, StrictStr, model_validator

from app.filter_schema import Narrowed
from app.schema import Closed, ModelId, TopK, Unicode, Whole, Words
from app.services import MAX_MESSAGES
from rag.errors import Unsupported
from rag.types import Priority

IGNORED = "A hint to OpenAI's own servers: ignored."
MAX_TOKENS = 1_000_000
MAX_SEED = 2**53 - 1
"""The largest whole number that every JSON reader keeps exact."""

NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0, 0.0),
    "function_call": ("none",),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "metadata": ({},),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "parallel_tool_calls": (True, False),
    "prediction": (),
    "presence_penalty": (0, 0.0),
    "reasoning_effort": (),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": (),
    "web_search_options": (),
}
"""OpenAI's parameters that are not served, and the values beside null that ask for nothing."""


class CacheBreakpoint(Closed):
    """Where OpenAI's prompt cache may cut."""

    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class CacheOptions(Closed):
    """How OpenAI's prompt cache works."""

    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m"] | None = None


class TextPart(Closed):
    """A part of a message."""

    type: Literal["text"]
    text: Words
    prompt_cache_breakpoint: CacheBreakpoint | None = Field(None, description=IGNORED)


Content = Words | Annotated[list[TextPart], Field(min_length=1, max_length=64, fail_fast=True)]
Name = Annotated[StrictStr, Field(max_length=64)]


class AskingMessage(Closed):
    """What the user says, or what the model is told to do."""

    role: Literal["system", "developer", "user"]
    content: Content
    name: Name | None = None


class AssistantMessage(Closed):
    """What the model said before. It may be sent back as it was received."""

    role: Literal["assistant"]
    content: Unicode | Annotated[list[TextPart], Field(min_length=1, max_length=64, fail_fast=True)] | None = None
    name: Name | None = None
    annotations: Annotated[list[dict[str, Any]], Field(fail_fast=True)] | None = None
    refusal: Unicode | None = None
    audio: None = None
    function_call: None = None
    tool_calls: None = None


ChatMessage = Annotated[AskingMessage | AssistantMessage, Field(discriminator="role")]


def text_of(message: AskingMessage | AssistantMessage) -> str:
    """The content as one string."""
    content = message.content
    return content if isinstance(content, str) else "\n".join(part.text for part in content or ())


class StreamOptions(Closed):
    """Options of a streamed answer."""

    include_usage: StrictBool = Field(False, description="Send one more chunk, with the tokens used.")
    include_obfuscation: Literal[False] | None = Field(None, description="No chunk is padded to hide its length.")


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


class JsonSchema(Closed):
    """An answer that obeys a JSON schema."""

    type: Literal["json_schema"]
    json_schema: NamedSchema


ResponseFormat = Annotated[PlainText | JsonObject | JsonSchema, Field(discriminator="type")]
Stop = Annotated[StrictStr, Field(min_length=1, max_length=100)]
ServiceTier = Literal["auto", "default", "flex", "scale", "priority", "fast"]
TIERS: Mapping[Priority, Literal["default", "flex"]] = {"interactive": "default", "batch": "flex"}
"""OpenAI's words for the classes of requests, as an answer names the one that served it."""


SessionId = Annotated[StrictStr, Field(pattern=r"^[\x21-\x7e]{1,128}$", description="Groups traces.")]


class Options(Closed):
    """What Raglan adds to OpenAI's parameters."""

    retrieve: StrictBool | None = Field(default=None, description="Whether to answer from the documents (default).")
    top_k: TopK | None = None
    filter: Narrowed | None = None
    session_id: SessionId | None = None


class ChatRequest(Closed):
    """A conversation to answer. The last message is the question."""

    model: ModelId
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES, fail_fast=True)]
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS), Whole] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=MAX_TOKENS), Whole] | None = None
    temperature: Annotated[StrictFloat, Field(ge=0, le=2)] | None = Field(None, description="Default: 0.")
    top_p: Annotated[StrictFloat, Field(gt=0, le=1)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=4, fail_fast=True)] | None = None
    seed: Annotated[int, Field(ge=-MAX_SEED, le=MAX_SEED), Whole] | None = None
    response_format: ResponseFormat | None = None
    n: Literal[1] | None = None
    service_tier: ServiceTier | None = Field(
        None, description="`flex`: a batch request, after the interactive ones. Any other: the API key's own class."
    )
    user: Annotated[StrictStr, Field(max_length=256, description="Your user, for the trace.")] | None = None
    prompt_cache_key: Annotated[StrictStr, Field(max_length=256, description=IGNORED)] | None = None
    prompt_cache_options: CacheOptions | None = Field(None, description=IGNORED)
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = Field(None, description=IGNORED)
    safety_identifier: Annotated[StrictStr, Field(max_length=256, description=IGNORED)] | None = None
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

    def priority(self, own: Priority) -> Priority:
        """The request's class; a body may step back from the key's `own`, never forward."""
        return "batch" if self.service_tier == "flex" else own

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
