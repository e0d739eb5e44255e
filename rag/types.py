"""The small frozen facts that cross a stage boundary; nothing else crosses a Serve handle."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""A unit vector of shape (d,), or a batch of them of shape (n, d)."""

Role = Literal["system", "user", "assistant"]
Action = Literal["pass", "flag", "mask", "block", "drop", "error", "skipped"]
FinishReason = Literal["stop", "length", "content_filter"]
Priority = Literal["interactive", "batch"]
"""The class of a request: somebody waits for an interactive answer, and a batch one takes the room that is left."""


class Fact:
    """What all of them are: pickled as their constructor's arguments, of which each has two or more, since dataclasses'
    own way takes several times as long.
    """

    __slots__ = ()

    def __reduce__(self) -> tuple[type, tuple[Any, ...]]:
        kind: Any = type(self)
        return kind, attrgetter(*kind.__match_args__)(self)


@dataclass(frozen=True, slots=True, eq=False)
class TokenVectors(Fact):
    """A text by token, special tokens left out: unit vectors (n, d), and the tokens' character spans (n, 2)."""

    vectors: Vector
    spans: NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class Embedded(Fact):
    """A question as a search compares it: its unit vector (d,), and itself by token where the embedder gives that."""

    text: str
    vector: Vector
    tokens: TokenVectors | None = None


@dataclass(frozen=True, slots=True)
class Message(Fact):
    """One chat message."""

    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class Document(Fact):
    """A whole text as a user gave it. `id` is unique within `tenant`.

    `groups` may read it, everybody of the tenant when empty. Of `metadata`, searches filter by `source`, `tags`
    (separated by commas) and `date` (ISO 8601).
    """

    id: str
    text: str
    title: str = ""
    url: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)
    tenant: str = "default"
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Passage(Fact):
    """A stretch of a document: `text == document.text[start:end]`, under its `headings` path, outermost first.

    `also` are the URLs of the near-identical passages that this one stands for, `also_marks` what filters find those by
    (rag/payload.py). `scores` are those it was stored with, by the name of what gave them (rag/scan.py).
    """

    id: str
    document_id: str
    text: str
    title: str = ""
    url: str = ""
    headings: tuple[str, ...] = ()
    start: int = 0
    end: int = 0
    metadata: Mapping[str, str] = field(default_factory=dict)
    tenant: str = "default"
    groups: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    also_marks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filter(Fact):
    """What a search is narrowed to: any of the sources, any of the tags, ISO 8601 dates from `since` to `until`.

    Both ends count. An empty field narrows nothing.
    """

    source: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    since: str = ""
    until: str = ""


@dataclass(frozen=True, slots=True)
class Sentence(Fact):
    """A sentence of a passage, `passage.text[start:end]`, and how well it fits the question (higher is better)."""

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Hit(Fact):
    """A passage found for a question. `score` orders the list; the others say where it came from (None: not asked)."""

    passage: Passage
    score: float
    dense: float | None = None
    sparse: float | None = None
    rerank: float | None = None
    sentences: tuple[Sentence, ...] = ()


@dataclass(frozen=True, slots=True)
class DocumentInfo(Fact):
    """A document as the store lists it; `passages` counts its stored passages.

    `suspicious` are the scores of passages that read like instructions to the model, by the passage's id. They are
    told when the document is added, and only then.
    """

    id: str
    title: str
    url: str
    passages: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    suspicious: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Check(Fact):
    """What one guardrail check found: its score where it has one, and the milliseconds it took.

    An `error` broke or took too long, a `skipped` one was not made; `detail` says why.
    """

    name: str
    action: Action
    score: float | None = None
    ms: float = 0.0
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Verdict(Fact):
    """A guardrail's decision and every check it rests on. `refusal` is what the user reads when it is not allowed.

    `masked` is what the texts judged become where a check masked: the user's messages in order, or the sentence.
    """

    allowed: bool
    checks: tuple[Check, ...] = ()
    refusal: str = ""
    masked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Prompt(Fact):
    """What the engine is asked: messages and sampling. `schema` is a JSON schema the answer must obey, as JSON text.

    `begun` is how the answer begins: the engine goes on from there and does not repeat it. A batch prompt comes after
    every interactive one.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    schema: str | None = None
    request_id: str = ""
    begun: str = ""
    priority: Priority = "interactive"


@dataclass(frozen=True, slots=True)
class Usage(Fact):
    """Tokens the engine counted."""

    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Piece(Fact):
    """A step of a generation: new text, the tokens used so far, and in the last ones why it ended and the engine's
    queue time.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    usage: Usage | None = None
    queue_ms: float | None = None


@dataclass(frozen=True, slots=True)
class RequestSettings(Fact):
    """What may differ between two requests: resolved once by the ingress, then read-only on its way.

    `tenant` and `groups` are the authenticated key's: a passage with groups is found only by who has one of them.
    `policy` is the guardrails' policy as JSON of what differs from its defaults, `policy_digest` its name in traces.
    `schema` is the JSON schema that was asked for; `hold_json` keeps such an answer back until all of it is judged.
    `resume_wait_s` bounds the wait for a second engine, in seconds.
    """

    model: str
    prompt: str
    tenant: str = "default"
    groups: tuple[str, ...] = ()
    filter: Filter = Filter()
    retrieve: bool = True
    followup: Literal["rule", "llm", "off"] = "rule"
    guard: bool = True
    validate: bool = True
    policy: str = "{}"
    policy_digest: str = ""
    schema: str = ""
    hold_json: bool = False
    candidates: int = 20
    per_document: int = 0
    top_k: int = 4
    dense_weight: float = 0.5
    rerank: bool = True
    rerank_weight: float = 0.5
    rerank_budget_ms: float = 0.0
    min_score: float = 0.0
    resume_wait_s: float = 60.0
