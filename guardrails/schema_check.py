"""Whether an answer obeys the JSON schema that was asked for, within bounds of size and work, reaching no network.

The engine's grammar already holds the answer to the schema; this looks again at what really left.
"""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import ContextVar
from functools import cache
from typing import Any

import regex
from jsonschema.exceptions import ValidationError
from jsonschema.validators import Draft202012Validator, extend, validator_for
from referencing import Registry
from referencing.exceptions import Unresolvable

MAX_TEXT = 200_000
MAX_SCHEMA = 16_000
"""Characters; the schema's limit is also the API's."""
MAX_STEPS = 50_000
"""Keywords that are applied: references can make a small schema's work exponential. About half a second."""
COMPARISONS, ITEMS, CHARACTERS = 10, 4, 100
"""Values that are compared in the time of a step, and the items and characters that are written out to compare them."""
PATTERN_SECONDS = 0.05
"""What all patterns of a schema may take together."""
MAX_WHERE = 200

Keyword = Callable[[Any, Any, Any, Any], Iterator[ValidationError] | None]
steps: ContextVar[list[float]] = ContextVar("steps")
"""The keywords left to apply and the seconds left for patterns."""


class Exhausted(Exception):
    """A schema or an answer asks for too much work."""


def schema_errors(text: str, schema: str) -> str:
    """What is wrong with `text` by `schema` (both JSON), or nothing: the keyword and the place, never the content.

    Blocks for at most about half a second. Formats are not checked.
    """
    if len(text) > MAX_TEXT or len(schema) > MAX_SCHEMA:
        return "too long to be checked"
    try:
        value = json.loads(text, parse_constant=refuse)
    except RecursionError:
        return "nested too deeply"
    except ValueError as error:
        return f"not JSON, at character {error.pos}" if isinstance(error, json.JSONDecodeError) else "not JSON"
    token = steps.set([MAX_STEPS, PATTERN_SECONDS])
    try:
        return first_error(value, json.loads(schema))
    except (RecursionError, Exhausted, OverflowError):
        return "too much work to be checked"
    except (Unresolvable, regex.error, ValueError):
        return "the schema cannot be read"
    finally:
        steps.reset(token)


def refuse(constant: str) -> None:
    """NaN and Infinity are no JSON."""
    raise ValueError(constant)


def first_error(value: Any, schema: Any) -> str:
    """The keyword and place of the first error."""
    kind = bounded(validator_for(schema, Draft202012Validator))
    # An empty registry: a reference out of the schema cannot be resolved, and nothing is fetched.
    for error in kind(schema, registry=Registry()).iter_errors(value):
        return f"{error.validator} at /{'/'.join(map(str, error.absolute_path))}"[:MAX_WHERE]
    return ""


@cache
def bounded(kind: Any) -> Any:
    """The validator of a draft with every keyword counted, and the costly ones replaced."""
    keywords = {name: counted(keyword) for name, keyword in {**kind.VALIDATORS, **SAFE}.items()}
    return extend(kind, keywords)  # type: ignore[no-untyped-call]


def counted(keyword: Keyword) -> Keyword:
    """`keyword`, raising Exhausted when the steps are used up."""

    def apply(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError] | None:
        spend(1)
        return keyword(validator, wanted, value, schema)

    return apply


def spend(count: float) -> None:
    """Take `count` off the steps, raising Exhausted when they are used up."""
    steps.get()[0] -= count
    if steps.get()[0] < 0:
        raise Exhausted


def size(value: Any) -> int:
    """How many values a JSON value holds, itself included."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(size, inner))


def compared(name: str) -> Keyword:
    """The keyword `name`, which compares a value with all that it wants, for a price by that."""
    keyword: Keyword = Draft202012Validator.VALIDATORS[name]

    def apply(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError] | None:
        spend(size(wanted) / COMPARISONS)
        return keyword(validator, wanted, value, schema)

    return apply


def matches(expression: str, text: str) -> bool:
    """Whether a pattern is found in `text`, in the time left for patterns."""
    left = steps.get()
    if left[1] <= 0:
        raise Exhausted
    begin = time.perf_counter()
    try:
        return regex.search(expression, text, timeout=left[1]) is not None
    except TimeoutError:
        raise Exhausted from None
    finally:
        left[1] -= time.perf_counter() - begin


def pattern(validator: Any, wanted: str, value: Any, schema: Any) -> Iterator[ValidationError]:
    """Keyword `pattern`."""
    if isinstance(value, str) and not matches(wanted, value):
        yield ValidationError("pattern")


def pattern_properties(validator: Any, wanted: Mapping[str, Any], value: Any, schema: Any) -> Iterator[ValidationError]:
    """Keyword `patternProperties`."""
    for expression, inner in wanted.items():
        for name in value if isinstance(value, dict) else ():
            if matches(expression, name):
                yield from validator.descend(value[name], inner, path=name, schema_path=expression)


def additional_properties(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    """Keyword `additionalProperties`."""
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name in value if isinstance(value, dict) else ():
        if name in known or any(matches(expression, name) for expression in patterns):
            continue
        if wanted is False:
            yield ValidationError("additionalProperties")
        elif isinstance(wanted, dict):
            yield from validator.descend(value[name], wanted, path=name)


def unique_items(validator: Any, wanted: bool, value: Any, schema: Any) -> Iterator[ValidationError]:
    """Keyword `uniqueItems`, in linear time."""
    if wanted and isinstance(value, list):
        items = [json.dumps(item, sort_keys=True) for item in value]
        spend(len(items) / ITEMS + sum(map(len, items)) / CHARACTERS)
        if len(set(items)) < len(items):
            yield ValidationError("uniqueItems")


def unevaluated(validator: Any, wanted: Any, value: Any, schema: Any) -> Iterator[ValidationError]:
    """`unevaluatedProperties` is left to the engine's grammar: its own search for patterns has no bound."""
    return iter(())


SAFE: dict[str, Keyword] = {
    "enum": compared("enum"),
    "const": compared("const"),
    "pattern": pattern,
    "patternProperties": pattern_properties,
    "additionalProperties": additional_properties,
    "uniqueItems": unique_items,
    "unevaluatedProperties": unevaluated,
}
