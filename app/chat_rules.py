"""What a chat request must obey beyond its shape: rules between fields, limits of the configuration, a sound schema."""

import asyncio
import json
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.validators import Draft202012Validator, validator_for

from app.chat_schema import ChatRequest, JsonSchema, text_of
from app.services import HttpConfig, ModelCard
from rag.errors import InvalidInput, TooLarge

SCHEMA = "response_format.json_schema.schema"
MAX_SCHEMA_CHARS = 16_000
MAX_SCHEMA_VALUES = 1_000
"""Some lists are compared pair by pair, and a part takes up to a millisecond: this many values take one second."""
MAX_WHERE = 200


async def check(body: ChatRequest, card: ModelCard, config: HttpConfig) -> None:
    """Raise InvalidInput or TooLarge, naming the field."""
    check_fields(body, card)
    check_limits(body, config)
    if isinstance(body.response_format, JsonSchema):
        # A hostile schema takes seconds to check; others' streams go on meanwhile.
        await asyncio.to_thread(check_schema, body.response_format.json_schema.schema_)


def check_fields(body: ChatRequest, card: ModelCard) -> None:
    if body.messages[-1].role != "user":
        raise InvalidInput("The last message must be the user's.", f"messages[{len(body.messages) - 1}].role")
    if body.stream_options and not body.stream:
        raise InvalidInput("Only a streamed answer has stream options.", "stream_options")
    if body.max_tokens and body.max_completion_tokens:
        raise InvalidInput("Give max_tokens or max_completion_tokens, not both.", "max_tokens")
    param = "max_tokens" if body.max_tokens else "max_completion_tokens"
    if (body.max_tokens or body.max_completion_tokens or 0) >= card.context:
        raise InvalidInput(f"The model's context is {card.context} tokens, question and answer together.", param)


def check_limits(body: ChatRequest, config: HttpConfig) -> None:
    if len(body.messages) > config.max_messages:
        raise TooLarge(f"A conversation may have {config.max_messages} messages.", "messages")
    for n, message in enumerate(body.messages):
        if len(text_of(message)) > config.max_message_chars:
            raise TooLarge(f"A message may have {config.max_message_chars} characters.", f"messages[{n}].content")


def check_schema(schema: dict[str, Any]) -> None:
    """Check a JSON schema against its own meta-schema."""
    if len(json.dumps(schema)) > MAX_SCHEMA_CHARS:
        raise TooLarge(f"A schema may have {MAX_SCHEMA_CHARS} characters.", SCHEMA)
    if values(schema) > MAX_SCHEMA_VALUES:
        raise TooLarge(f"A schema may have {MAX_SCHEMA_VALUES} values.", SCHEMA)
    if not isinstance(schema.get("$schema", ""), str):
        raise InvalidInput("This is not a valid JSON schema, at '/$schema'.", SCHEMA)
    try:
        validator_for(schema, Draft202012Validator).check_schema(schema)
    except SchemaError as error:
        where = "/".join(str(step) for step in error.path)[:MAX_WHERE]
        raise InvalidInput(f"This is not a valid JSON schema, at '/{where}'.", SCHEMA) from error
    except (RecursionError, ValueError) as error:
        raise InvalidInput("This JSON schema cannot be read.", SCHEMA) from error


def values(schema: dict[str, Any]) -> int:
    """How many JSON values it has, itself and those in lists and objects counted."""
    found: list[Any] = [schema]
    for value in found:
        if isinstance(value, dict | list):
            found.extend(value.values() if isinstance(value, dict) else value)
    return len(found)
