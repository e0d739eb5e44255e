"""An answer in OpenAI's shape: `chat.completion`, and what its stream ends with."""

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from app.schema import Scored, Shape
from rag.answer import End
from rag.types import Check, FinishReason, Hit, Verdict


class UrlCitation(Shape):
    """`content[start_index:end_index]` is a marker such as `[2]`; it cites the document at `url`."""

    start_index: int
    end_index: int
    url: str
    title: str


class Annotation(Shape):
    """OpenAI's citation."""

    type: Literal["url_citation"] = "url_citation"
    url_citation: UrlCitation


class AnswerMessage(Shape):
    """The answer."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None
    annotations: list[Annotation]


class Choice(Shape):
    """The only choice."""

    index: Literal[0] = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: FinishReason


class Usage(Shape):
    """Tokens, as the engine counted them."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class GuardCheck(Shape):
    """What one guardrail check found, or why it was not made: an `error` broke or took too long."""

    name: str
    action: Literal["pass", "flag", "mask", "block", "drop", "error", "skipped"]
    score: float | None
    ms: float
    detail: str


class GuardReport(Shape):
    """Every check made on the question, on what was retrieved and on the answer."""

    policy: str = Field(description="Digest of the policy that was in force.")
    input: list[GuardCheck]
    passages: list[GuardCheck]
    output: list[GuardCheck]


class Report(Shape):
    """How the answer came about."""

    trace_id: str
    release: str = Field(description="Digest of the running configuration.")
    model: str
    prompt: str = Field(description="The prompt template and its version.")
    timings: dict[str, float] = Field(
        description="Milliseconds by stage; `ttft` and `total` since the request's start."
    )
    query: str = Field(description="What was searched for: the question, or a follow-up made to stand alone.")
    degraded: list[str] = Field(
        description="Stages that the answer had to do without: `rerank` when its time ran out and the first stage's "
        "order stands."
    )
    resumed_at: int | None = Field(
        description="The character of the generated text at which another replica went on, because the engine's "
        "replica was lost; null: one replica wrote all of it."
    )
    passages: list[Scored]
    guard: GuardReport


class ChatCompletion(Shape):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    service_tier: Literal["default", "flex"] = Field(description="Which tier served it; `flex`: as a batch request.")
    choices: list[Choice]
    usage: Usage
    raglan: Report


def annotations(end: End) -> list[Annotation]:
    """The citations of the answer, in the order of the text."""
    return [
        Annotation(
            url_citation=UrlCitation(
                start_index=c.start, end_index=c.end, url=c.hit.passage.url, title=c.hit.passage.title
            )
        )
        for c in end.citations
    ]


def usage(end: End) -> Usage:
    counted = end.usage
    return Usage(
        prompt_tokens=counted.prompt_tokens,
        completion_tokens=counted.completion_tokens,
        total_tokens=counted.prompt_tokens + counted.completion_tokens,
    )


def scored(hits: Sequence[Hit]) -> list[Scored]:
    """Hits as the API shows them, numbered from 1."""
    return [
        Scored(
            n=n,
            id=hit.passage.id,
            document_id=hit.passage.document_id,
            title=hit.passage.title,
            url=hit.passage.url,
            headings=list(hit.passage.headings),
            text=hit.passage.text,
            metadata=dict(hit.passage.metadata),
            score=float(hit.score),
            dense=hit.dense,
            sparse=hit.sparse,
            rerank=hit.rerank,
        )
        for n, hit in enumerate(hits, 1)
    ]


def guard(verdicts: dict[str, tuple[Verdict, ...]], policy: str) -> GuardReport:
    def side(name: str) -> list[GuardCheck]:
        return [shown(check) for verdict in verdicts.get(name, ()) for check in verdict.checks]

    return GuardReport(policy=policy, input=side("input"), passages=side("passages"), output=side("output"))


def shown(check: Check) -> GuardCheck:
    return GuardCheck(name=check.name, action=check.action, score=check.score, ms=check.ms, detail=check.detail)


def server_timing(timings: Mapping[str, float]) -> str:
    """The `Server-Timing` header: milliseconds by stage, for a browser's network panel."""
    return ", ".join(f"{stage};dur={ms}" for stage, ms in timings.items())
