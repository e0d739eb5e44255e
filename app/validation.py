"""Names the field at fault in a refused body, in OpenAI's words: `messages[0].content`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

CODES = {
    "extra_forbidden": "unknown_parameter",
    "missing": "missing_required_parameter",
    "json_invalid": "invalid_json",
}
MAX_NAME = 100


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and with which field."""

    code: str
    message: str
    param: str | None


def describe(errors: Sequence[Mapping[str, Any]], body: Any) -> Problem:
    """The problem to report of pydantic's `errors()` for `body`: the one deepest in the body, the first of those."""
    paths = [path(error, body) for error in errors]
    deepest = max(range(len(errors)), key=lambda n: (len(paths[n]), -n))
    error, param = errors[deepest], named(paths[deepest])
    kind = str(error["type"])
    code = CODES.get(kind, "invalid_type" if kind.endswith(("_type", "_parsing")) else "invalid_value")
    if kind == "json_invalid":
        return Problem(code, f"The body is not valid JSON (at character {error['loc'][-1]}).", None)
    if kind == "extra_forbidden":
        return Problem(code, f"Unknown parameter: '{param}'.", param)
    if kind == "missing":
        return Problem(code, f"Missing required parameter: '{param}'." if param else "The body is missing.", param)
    reason = str(error["msg"]).removeprefix("Value error, ")
    return Problem(code, f"Invalid '{param}': {reason}." if param else f"Invalid body: {reason}.", param)


def path(error: Mapping[str, Any], body: Any) -> list[str | int]:
    """Where in `body` the error is: pydantic's location without the tags it adds for unions."""
    location = list(error["loc"])
    if location and location[0] in ("body", "query", "path", "header"):
        location = location[1:]
    steps: list[str | int] = []
    for n, step in enumerate(location):
        if (isinstance(body, Mapping) and step in body) or (
            isinstance(body, list) and isinstance(step, int) and step < len(body)
        ):
            body = body[step]
        elif not (error["type"] == "missing" and n == len(location) - 1):
            continue
        steps.append(step)
    return steps


def named(steps: Sequence[str | int]) -> str | None:
    """`["messages", 0, "content"]` as `messages[0].content`."""
    text = "".join(f"[{s}]" if isinstance(s, int) else f".{s[:MAX_NAME]}" for s in steps)
    return text.removeprefix(".") or None
