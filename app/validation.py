"""Names the field at fault in a refused body, in OpenAI's words: `messages[0].content`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

CODES = {
    "extra_forbidden": "unknown_parameter",
    "missing": "missing_required_parameter",
    "union_tag_not_found": "missing_required_parameter",
    "int_from_float": "invalid_type",
    "json_invalid": "invalid_json",
}
MAX_NAME = 100
MAX_REASON = 300


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and with which field."""

    code: str
    message: str
    param: str | None


def describe(errors: Sequence[Mapping[str, Any]], body: Any) -> Problem:
    """The problem to report of pydantic's `errors()` for `body`: the one deepest in the body, the first of those.

    A value of the wrong type comes last: where a field may be of several types, each of the others says so too.
    """
    found = [(path(error, body), code(error), error) for error in errors]
    steps, kind, error = max(found, key=lambda f: (len(f[0]), f[1] != "invalid_type"))
    param = named(steps)
    if kind == "invalid_json":
        return Problem(kind, f"The body is not valid JSON (at character {error['loc'][-1]}).", None)
    if kind == "unknown_parameter":
        return Problem(kind, f"Unknown parameter: '{param}'.", param)
    if kind == "missing_required_parameter":
        return Problem(kind, f"Missing required parameter: '{param}'." if param else "The body is missing.", param)
    reason = str(error["msg"]).removeprefix("Value error, ")[:MAX_REASON]
    return Problem(kind, f"Invalid '{param}': {reason}." if param else f"Invalid body: {reason}.", param)


def code(error: Mapping[str, Any]) -> str:
    kind = str(error["type"])
    return CODES.get(kind, "invalid_type" if kind.endswith(("_type", "_parsing")) else "invalid_value")


def path(error: Mapping[str, Any], body: Any) -> list[str | int]:
    """Where in `body` the error is: pydantic's location without the tags it adds for unions."""
    source, *location = cast(tuple[str | int, ...], error["loc"])
    if source != "body":
        return location[:1]
    steps: list[str | int] = []
    for n, step in enumerate(location):
        if holds(body, step):
            body = body[step]
        elif not (error["type"] == "missing" and n == len(location) - 1):
            continue
        steps.append(step)
    if str(error["type"]).startswith("union_tag_"):
        steps.append(error["ctx"]["discriminator"].strip("'"))
    return steps


def holds(body: Any, step: str | int) -> bool:
    if isinstance(body, list):
        return isinstance(step, int) and step < len(body)
    return isinstance(body, Mapping) and step in body


def named(steps: Sequence[str | int]) -> str | None:
    """`["messages", 0, "content"]` as `messages[0].content`."""
    text = "".join(f"[{s}]" if isinstance(s, int) else f".{s[:MAX_NAME]}" for s in steps)
    return text.removeprefix(".") or None
