"""What an observation may hold: values of the stages, masked, bounded, and as JSON has them."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from rag.stages import Kind
from rag.types import Check, Document, Hit, Message, Passage, Verdict

logger = logging.getLogger(__name__)

MAX_ITEMS = 64
"""Most items of one list or mapping that are sent."""
MAX_DEPTH = 6
MARGIN = 4_096
"""Characters masked beyond a cut, so that nothing is cut before it is recognised: a private key has 3,300."""
FAILED = "[not sent: the mask failed]"
MODEL_FIELDS = ("model", "model_parameters", "usage_details", "cost_details", "completion_start_time")
OPERATIONS: dict[str, str] = {"generation": "chat", "embedding": "embeddings"}
"""The kinds for which Langfuse keeps MODEL_FIELDS, and their name among the OpenTelemetry GenAI operations."""


@dataclass(frozen=True, slots=True)
class PromptName:
    """What Langfuse needs of a prompt to link a generation to it."""

    name: str
    version: int
    is_fallback: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """The rules of a process: which mask, how much, and whether texts are sent at all."""

    mask: Callable[[str], str]
    max_chars: int
    texts: bool

    def of(self, value: Any) -> Any:
        """Return `value` as JSON types: texts masked, at most `max_chars` of them; without `texts`, their sizes.

        A Hit becomes its ids and scores, a Verdict its checks, a vector its shape, what is not known its type's name.
        """
        return None if value is None else Rendering(self, self.max_chars).of(value, 0)

    def label(self, value: Any) -> Any:
        """Return a value of metadata: as `of`, but a text is sent, masked, even where contents are not."""
        return self.masked(value, self.max_chars) if isinstance(value, str) else self.of(value)

    def reason(self, message: str | None) -> str | None:
        """Return a status message; where texts are not sent, only one that is a bare name, such as an error's class."""
        if message is None or (not self.texts and not message.isidentifier()):
            return None
        return self.masked(message, self.max_chars)

    def masked(self, text: str, limit: int) -> str:
        """Return at most about `limit` masked characters of `text`; a mask that raises lets nothing through."""
        seen = text[: limit + MARGIN]
        try:
            out = self.mask(seen)
        except Exception as error:
            logger.warning("the tracing mask raised %s; the text is not sent", type(error).__name__)
            return FAILED
        if len(text) <= limit:
            return out
        unsure = MARGIN if len(seen) < len(text) else 0
        return f"{out[: max(0, min(limit, len(out) - unsure))]}… [{len(text):,} characters]"


@dataclass(slots=True)
class Rendering:
    """One value on its way, and the characters it may still take."""

    rules: Content
    left: int

    def of(self, value: Any, depth: int) -> Any:
        match value:
            case None | bool() | int() | float():
                return value
            case str():
                return self.text(value)
            case Mapping() | list() | tuple() | set() | frozenset():
                return self.many(value, depth + 1)
            case np.ndarray():
                return {"shape": list(value.shape)}
            case np.generic():
                return value.item()
        return self.fact(value)

    def many(self, values: Any, depth: int) -> Any:
        """Render a mapping, whose keys are sent as they are, or a collection."""
        if depth > MAX_DEPTH:
            return type(values).__name__
        if isinstance(values, Mapping):
            return {str(key): self.of(value, depth) for key, value in islice(values.items(), MAX_ITEMS)}
        return [self.of(value, depth) for value in islice(values, MAX_ITEMS)]

    def text(self, text: str) -> Any:
        if not self.rules.texts:
            return {"chars": len(text)}
        if self.left <= 0:
            return f"[{len(text):,} characters not sent]"
        out = self.rules.masked(text, self.left)
        self.left -= len(text)
        return out

    def fact(self, value: Any) -> Any:
        """Render what crosses the handles; a Hit stands without its text, which the generation's input holds."""
        match value:
            case Message():
                return {"role": value.role, "content": self.text(value.content)}
            case Hit():
                scores = {"score": value.score, "dense": value.dense, "sparse": value.sparse, "rerank": value.rerank}
                known = {name: round(score, 4) for name, score in scores.items() if score is not None}
                return {**self.names(value.passage.id, value.passage.title), **known}
            case Passage() | Document():
                return {**self.names(value.id, value.title), "chars": len(value.text)}
            case Verdict():
                verdict: dict[str, Any] = {"allowed": value.allowed, "checks": [self.check(c) for c in value.checks]}
                return {**verdict, "refusal": self.text(value.refusal)} if value.refusal else verdict
            case Check():
                return self.check(value)
        return type(value).__name__

    def names(self, id: str, title: str) -> dict[str, Any]:
        if not self.rules.texts:
            return {}
        return {"id": self.text(id), "title": self.text(title)} if title else {"id": self.text(id)}

    def check(self, check: Check) -> dict[str, Any]:
        row: dict[str, Any] = {"name": check.name, "action": check.action, "ms": round(check.ms, 3)}
        if check.score is not None:
            row["score"] = round(check.score, 4)
        return {**row, "detail": self.text(check.detail)} if check.detail else row


def arranged(kind: Kind, fields: Mapping[str, Any], content: Content) -> dict[str, Any]:
    """Sort a caller's fields into the SDK's arguments; what the SDK does not know becomes metadata."""
    rest = dict(fields)
    out: dict[str, Any] = {"level": rest.pop("level", None)}
    out["status_message"] = content.reason(rest.pop("status_message", None))
    metadata = {**(rest.pop("metadata", None) or {}), **rest}
    if kind in OPERATIONS:
        out |= {name: metadata.pop(name) for name in MODEL_FIELDS if name in metadata}
        out["model_parameters"] = content.of(out.get("model_parameters"))
        name, _, version = str(metadata.get("prompt", "")).rpartition("@")
        if name and version.isdecimal():
            out["prompt"] = PromptName(name, int(version))
    return {**out, "metadata": {name: content.label(value) for name, value in metadata.items()} or None}


def gen_ai(kind: Kind, fields: Mapping[str, Any]) -> dict[str, str | int | float]:
    """Return the OpenTelemetry GenAI attributes that `fields` hold, for other readers of the same spans."""
    if kind not in OPERATIONS:
        return {}
    usage, asked = fields.get("usage_details") or {}, fields.get("model_parameters") or {}
    found = {
        "gen_ai.operation.name": OPERATIONS[kind],
        "gen_ai.request.model": fields.get("model"),
        "gen_ai.usage.input_tokens": usage.get("input"),
        "gen_ai.usage.output_tokens": usage.get("output"),
        **{f"gen_ai.request.{name}": asked.get(name) for name in ("max_tokens", "temperature", "top_p", "seed")},
    }
    return {name: value for name, value in found.items() if value is not None}
