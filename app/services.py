"""What the HTTP layer is given: it knows neither Ray nor files."""

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from app.review_queue import ReviewQueue
from guardrails.policy_book import PolicyBook
from rag.admission import Admission
from rag.stages import Embedder, Library, Stages, Trace
from rag.types import Document, DocumentInfo, Priority, RequestSettings

Group = Annotated[str, Field(pattern=r"^[\w.@-]{1,64}$")]
KeyRole = Literal["reviewer"]
MAX_MESSAGES = 1_000
"""What `max_messages` may be raised to: a body is refused at this many before its messages are read."""


class KeyConfig(BaseModel):
    """An API key, by its hash. `python -m app.keys NAME` makes a key and prints this entry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=64, description="Who holds the key; the user id in traces.")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of the key, in hex.")
    tenant: str = Field("default", min_length=1, max_length=64, description="Whose documents the key sees.")
    groups: tuple[Group, ...] = Field(
        (), max_length=64, description="Groups whose documents the key sees, beside those for all of the tenant."
    )
    roles: tuple[KeyRole, ...] = Field(
        (),
        max_length=8,
        description="What the key may do beside asking: 'reviewer' reads and decides flagged exchanges.",
    )
    priority: Priority = Field(
        "interactive",
        description="'batch': every request of the key comes after the interactive ones, whatever it asks for.",
    )
    policy: Mapping[str, Any] = Field(
        default_factory=dict, description="Fields of the guardrails' policy that differ for this key, such as `input`."
    )


class HttpConfig(BaseModel):
    """Limits and access of the HTTP API."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    api_keys: tuple[KeyConfig, ...] = Field((), description="Accepted keys; empty: no key is asked for.")
    cors_origins: tuple[str, ...] = Field((), description="Origins that browsers may call from; empty: CORS is off.")
    max_body_bytes: int = Field(8_000_000, ge=1_000, description="Largest request body, in bytes.")
    max_message_chars: int = Field(32_000, ge=100, description="Longest single message, in characters.")
    max_messages: int = Field(64, ge=1, le=MAX_MESSAGES, description="Most messages in one conversation.")
    max_document_chars: int = Field(2_000_000, ge=1_000, description="Longest document text, in characters.")
    review_without_key: bool = Field(
        False,
        description="Whether anybody may review flagged exchanges where no API key is asked for; only safe where "
        "HTTP is bound to the loopback address.",
    )
    request_timeout_s: float = Field(120, gt=0, description="Longest time to the end of an answer, in seconds.")


@dataclass(frozen=True, slots=True)
class ModelCard:
    """A model a request may name. `context` is in tokens; `created`, when this replica began to serve it, in Unix
    seconds.
    """

    id: str
    prompt: str
    context: int
    created: int = field(default_factory=lambda: int(time.time()))


class Tracer(Protocol):
    """Opens a trace for a request."""

    def start(self, name: str, input: Any, user: str | None, session: str | None, metadata: Mapping[str, str]) -> Trace:
        """Return the request's open trace; its `id` is 32 hex digits."""
        ...


class Feedback(Protocol):
    """Thumbs up and down, kept for ever."""

    async def append(self, row: Mapping[str, Any]) -> None:
        """Write one row durably, unless one of its `id` is there; rows are never changed.

        Raises KeyReused where that one says something else.
        """
        ...


class Ingestor(Protocol):
    """Chunks, embeds and stores."""

    async def add(self, documents: Sequence[Document], groups: tuple[str, ...]) -> list[DocumentInfo]:
        """Store the documents, replacing those of the same id; they are searchable on return. In the given order.

        Raises IdTaken, and stores none, where one would replace a document that `groups` may not read.
        """
        ...


@dataclass(frozen=True, slots=True)
class Dependency:
    """A line of /readyz."""

    name: str
    ready: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything `create_app` needs. `stages` binds the roles to one request's trace.

    `count_tokens` counts a text's tokens as the embedding model does; it blocks.
    `read` takes a file's name and content and gives its documents; it blocks, and raises UnsupportedMedia,
    UnreadableDocument or TooLarge.
    `awake` returns when a model can take a request. Raises ModelAsleep when it has no replica in time.
    `mask` takes secrets and personal data out of a text that is to be stored; it blocks.
    """

    config: HttpConfig
    models: Mapping[str, ModelCard]
    defaults: RequestSettings
    policies: PolicyBook
    admission: Admission
    stages: Callable[[Trace], Stages]
    embedder: Embedder
    embedding_model: str
    count_tokens: Callable[[str], int]
    library: Library
    ingestor: Ingestor
    read: Callable[[str, bytes], Sequence[Document]]
    tracer: Tracer
    feedback: Feedback
    reviews: ReviewQueue
    mask: Callable[[str], str]
    awake: Callable[[str], Awaitable[None]]
    dependencies: Callable[[], Awaitable[list[Dependency]]]
    digest: str
