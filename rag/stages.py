"""The roles an answer is made by. Serve handles play them in production, `rag/fakes.py` in tests."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rag.types import (
    DocumentInfo,
    Embedded,
    Hit,
    Message,
    Passage,
    Piece,
    Prompt,
    RequestSettings,
    TokenVectors,
    Vector,
    Verdict,
)

Kind = Literal["span", "chain", "generation", "embedding", "retriever", "guardrail"]


class Embedder(Protocol):
    """Texts to unit vectors."""

    async def embed(self, texts: Sequence[str]) -> Vector:
        """Return float32 unit vectors of shape (len(texts), d)."""
        ...

    async def embed_questions(self, texts: Sequence[str]) -> list[Embedded]:
        """Return what a search compares of each text."""
        ...


class Guard(Protocol):
    """Judges a conversation before the engine sees it."""

    async def check(self, messages: Sequence[Message], vector: Vector, settings: RequestSettings) -> Verdict:
        """Judge `messages`; `vector`, shape (d,), is the last user message's."""
        ...


class Retriever(Protocol):
    """Hybrid search over the stored passages, and their upkeep."""

    async def retrieve(self, question: str, vector: Vector, settings: RequestSettings) -> list[Hit]:
        """Return at most `settings.candidates` hits of `settings.tenant`, best first."""
        ...


class Library(Protocol):
    """The documents behind the retriever."""

    async def upsert(self, passages: Sequence[Passage], vectors: Vector, groups: tuple[str, ...] | None = None) -> None:
        """Replace the documents these passages belong to; they are searchable and durable on return.

        Raises IdTaken, and stores nothing, where one is there already that `groups` may not read (None: any may be).
        """
        ...

    async def delete(self, document_id: str, tenant: str, groups: tuple[str, ...] = ()) -> bool:
        """Remove a document's passages; False when there were none that `groups` may read."""
        ...

    async def documents(self, tenant: str, groups: tuple[str, ...] = ()) -> list[DocumentInfo]:
        """List the tenant's documents that `groups` may read, ordered by id."""
        ...

    async def hidden(self, ids: Sequence[str], tenant: str, groups: tuple[str, ...] = ()) -> list[str]:
        """Those of `ids` that are documents which `groups` may not read."""
        ...


class Scanner(Protocol):
    """Scores passages when they are stored. Runs in process, and blocks."""

    @property
    def name(self) -> str:
        """What the scores are kept under; another one where the same passage would score otherwise."""
        ...

    def scan(self, texts: Sequence[str], vectors: Vector) -> Sequence[float]:
        """Return how much each passage reads like an instruction to the model, in [0, 1]."""
        ...


class Screener(Protocol):
    """Judges what was retrieved before the engine reads it. Runs in process."""

    async def screen(self, hits: Sequence[Hit], question: str, settings: RequestSettings) -> tuple[Verdict, ...]:
        """Return one verdict per hit, in order."""
        ...


class Reranker(Protocol):
    """Orders hits by a closer look, and scores their sentences."""

    async def rerank(
        self, question: str, hits: Sequence[Hit], settings: RequestSettings, tokens: TokenVectors | None = None
    ) -> list[Hit]:
        """Return at most `settings.top_k` of `hits`, best first, with `rerank` and `sentences` set.

        `tokens` are the question's, where they are known.
        """
        ...


class LLM(Protocol):
    """A generation engine."""

    def generate(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        """Stream the answer; closing the iterator stops the engine.

        Raises PromptTooLong or InvalidInput for a prompt the engine refuses, StageUnavailable when its replica is gone.
        """
        ...


class Validator(Protocol):
    """Judges a sentence of the answer before it leaves."""

    async def validate(self, sentence: str, hits: Sequence[Hit], question: str, settings: RequestSettings) -> Verdict:
        """Judge `sentence` against the passages it may cite: `[n]` cites `hits[n - 1]`.

        With `settings.schema` it is a whole answer, and judged by that too.
        """
        ...

    async def conforms(self, answer: str, settings: RequestSettings) -> Verdict:
        """Judge a whole answer, whose sentences were judged, by `settings.schema`."""
        ...


class Observation(Protocol):
    """An open span of a trace."""

    def end(self, output: Any = None, **fields: Any) -> None:
        """Close it. `fields` are Langfuse's: model, usage_details, completion_start_time, level, status_message ..."""
        ...


class Trace(Protocol):
    """One request's trace, bound to its root observation."""

    @property
    def id(self) -> str:
        """32 hex digits."""
        ...

    @property
    def carrier(self) -> dict[str, str]:
        """W3C trace context that takes the root into another process; empty when nothing is recorded."""
        ...

    def start(self, name: str, kind: Kind, input: Any = None, **fields: Any) -> Observation:
        """Open a child observation of the root."""
        ...

    def end(self, output: Any = None, **fields: Any) -> None:
        """Close the root."""
        ...


class PromptWriter(Protocol):
    """Turns a conversation and what was found for it into the engine's messages. Runs in process."""

    def write(
        self, messages: Sequence[Message], hits: Sequence[Hit], settings: RequestSettings, max_tokens: int
    ) -> tuple[Message, ...]:
        """Render `settings.prompt` within the context of `settings.model`, leaving room for `max_tokens`.

        Raises PromptTooLong when the conversation alone does not fit.
        """
        ...


class Masker(Protocol):
    """Masks secrets and personal data in a stream; holds back what may be the start of one. One per answer."""

    @property
    def found(self) -> Mapping[str, int]:
        """How many stretches of each kind were masked so far."""
        ...

    def feed(self, text: str) -> str:
        """Take new text, return what may leave."""
        ...

    def flush(self) -> str:
        """Return the rest."""
        ...


@dataclass(frozen=True, slots=True)
class Stages:
    """Everything an answer needs, for one request."""

    prompts: PromptWriter
    masker: Callable[[], Masker]
    rewriter: Callable[[Sequence[Message]], Awaitable[str]]
    """A language model's wording of the last message that stands alone; only asked when the settings say so."""

    embedder: Embedder
    guard: Guard
    retriever: Retriever
    reranker: Reranker
    screener: Screener
    llm: LLM
    validator: Validator
