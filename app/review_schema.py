"""The bodies of /v1/reviews."""

from typing import Annotated, Literal

from fastapi import Body
from pydantic import Field, StrictStr

from app.document_schema import DocumentId
from app.review_queue import Decision, Review, Row, Status
from app.schema import Closed, Shape, Words
from rag.types import Action, FinishReason, Role

MAX_CORRECTION, MAX_NOTE, MAX_PAGES = 4_000, 1_000, 8

Note = Annotated[StrictStr, Field(max_length=MAX_NOTE, description="Why, for whoever reads the decision later.")]


class Approval(Closed):
    """What was done with the question is right."""

    decision: Literal["approve"]
    note: Note | None = None


class Rejection(Closed):
    """What was done with the question is wrong."""

    decision: Literal["reject"]
    note: Note | None = None


class Correction(Closed):
    """What was done with the question is wrong, and this is the right answer."""

    decision: Literal["correct"]
    correction: Annotated[Words, Field(max_length=MAX_CORRECTION, description="The right answer.")]
    pages: Annotated[
        list[DocumentId],
        Field(
            max_length=MAX_PAGES, default_factory=list, description="Documents that hold it; none: no document does."
        ),
    ]
    note: Note | None = None


DecisionRequest = Annotated[Approval | Correction | Rejection, Body(discriminator="decision")]


class EarlierMessage(Shape):
    """A message before the question."""

    role: Role
    content: str


class CitablePassage(Shape):
    """A passage that the answer could cite; the first is [1]."""

    id: str
    document_id: str
    title: str
    url: str


class Finding(Shape):
    """A guardrail check that found something, or broke."""

    side: str = Field(description="What it looked at: `input`, `passages` or `output`.")
    name: str
    action: Action
    score: float | None
    detail: str


class Decided(Shape):
    """What a reviewer decided, and when."""

    decision: Decision
    correction: str | None
    pages: list[str]
    note: str | None
    reviewer: str | None
    time: str


class ReviewedExchange(Shape):
    """A flagged exchange, secrets and personal data masked."""

    id: str
    object: Literal["review"] = "review"
    status: Status
    time: str
    trace_id: str
    request_id: str
    user: str | None = Field(description="The name of the API key that asked.")
    model: str
    release: str
    policy: str = Field(description="Digest of the guardrails' policy that was in force.")
    earlier: list[EarlierMessage]
    question: str
    answer: str
    finish_reason: FinishReason | Literal["cancelled"]
    passages: list[CitablePassage]
    checks: list[Finding]
    cut: list[str] = Field(description="Fields that were too long to be kept whole.")
    decision: Decided | None


class StatusCounts(Shape):
    """How many exchanges the caller may review, by status."""

    open: int
    approved: int
    corrected: int
    rejected: int


class ReviewList(Shape):
    """Flagged exchanges of the caller's tenant, oldest first."""

    object: Literal["list"] = "list"
    data: list[ReviewedExchange]
    has_more: bool
    counts: StatusCounts
    full: bool = Field(description="Whether the queue is full, so that newly flagged exchanges are dropped.")


def shown(review: Review, status: Status) -> ReviewedExchange:
    """The rows as the API shows them."""
    return ReviewedExchange.model_validate({**review.flagged, "status": status, "decision": review.decision})


def example(review: Review) -> Row:
    """A corrected exchange as a row of an evaluation set: the format of benchmarks/handbook.jsonl, and the answer."""
    asked, decided = review.flagged, review.decision or {}
    cited = {p["url"]: None for p in asked["passages"] if p["document_id"] in decided["pages"] and p["url"]}
    return {
        "question": asked["question"],
        "pages": decided["pages"],
        "answer": decided["correction"],
        "urls": list(cited),
        "earlier": asked["earlier"],
        "review": asked["id"],
        "trace_id": asked["trace_id"],
    }
