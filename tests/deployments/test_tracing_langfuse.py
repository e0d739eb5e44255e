"""Tracing to Langfuse, against a receiver that decodes what is sent: the wire contract."""

import asyncio
import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace as global_trace

from deployments.tracing import NoTrace, TracingConfig, make_tracer
from deployments.tracing_langfuse import LangfuseTrace, LangfuseTracer
from rag.types import Message
from tests.deployments.otlp_receiver import OtlpReceiver, ReceivedSpan, tree

pytestmark = pytest.mark.world

ROOT = Path(__file__).resolve().parents[2]
PLANTED = "ann.planted@example.org"
FIRST_TOKEN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GENEROUS_S = 10.0
Traced = tuple[OtlpReceiver, dict[str, ReceivedSpan]]


def masking(text: str) -> str:
    return text.replace(PLANTED, "[EMAIL]")


def tracer_for(config: dict[str, Any], **changes: Any) -> LangfuseTracer:
    tracer = make_tracer(TracingConfig.model_validate({**config, **changes}), masking)
    assert isinstance(tracer, LangfuseTracer)
    return tracer


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with OtlpReceiver(secrets.token_hex(4)) as receiver:
        yield receiver


def in_another_process(receiver: OtlpReceiver, carrier: dict[str, str]) -> None:
    asked = {"config": receiver.config, "carrier": carrier, "secret": PLANTED}
    command = [sys.executable, "-m", "tests.deployments.traced_stage"]
    subprocess.run(command, input=json.dumps(asked), text=True, timeout=60, check=True, cwd=ROOT)


@pytest.fixture(scope="module")
def traced() -> Iterator[Traced]:
    """One request through two processes: who received its spans, and these by name."""
    with OtlpReceiver(secrets.token_hex(4)) as receiver:
        yield receiver, request(receiver)


def request(receiver: OtlpReceiver) -> dict[str, ReceivedSpan]:
    """Trace one request; return its spans by name."""
    tracer = tracer_for(receiver.config, environment="test", release="r1")
    trace = tracer.start("chat", [Message("user", f"mail {PLANTED}?")], "ann", "s-1", {"tenant": "default"})
    in_another_process(receiver, trace.carrier)
    generation = trace.start(
        "generate",
        "generation",
        [Message("system", "Answer."), Message("user", f"mail {PLANTED}?")],
        model="quote",
        model_parameters={"temperature": 0.0, "max_tokens": 64},
        prompt="quote@3",
    )
    generation.end(
        f"to {PLANTED}",
        usage_details={"input": 11, "output": 7},
        completion_start_time=FIRST_TOKEN,
        finish_reason="stop",
    )
    trace.end(f"to {PLANTED}", citations=1)
    tracer.close(GENEROUS_S)
    return {s.name: s for s in receiver.trace(trace.id, 6)}


def test_the_wire_contract(traced: Traced) -> None:
    receiver, spans = traced
    assert receiver.problems == []
    assert len(receiver.spans) == 6
    assert tree(receiver.spans) == {
        "chat": "",
        "guard": "chat",
        "retrieve": "chat",
        "fuse": "retrieve",
        "rerank": "chat",
        "generate": "chat",
    }
    assert [s.name for s in receiver.spans if s.app_root] == ["chat"]
    kinds = {"chat": "chain", "guard": "guardrail", "retrieve": "retriever", "rerank": "retriever"}
    assert {name: s.kind for name, s in spans.items()} == {**kinds, "fuse": "span", "generate": "generation"}
    assert {(s.attributes["user.id"], s.attributes["session.id"]) for s in receiver.spans} == {("ann", "s-1")}
    assert PLANTED.encode() not in receiver.raw
    assert b"planted" not in receiver.raw
    assert b"[EMAIL]" in receiver.raw
    chat = spans["chat"].attributes
    assert (chat["langfuse.environment"], chat["langfuse.release"]) == ("test", "r1")
    assert spans["chat"].field("input") == [{"role": "user", "content": "mail [EMAIL]?"}]
    assert spans["chat"].field("metadata.tenant") == "default"
    assert spans["chat"].field("metadata.citations") == 1


def test_the_generation(traced: Traced) -> None:
    span = traced[1]["generate"]
    assert span.field("model.name") == "quote"
    assert span.field("model.parameters") == {"temperature": 0.0, "max_tokens": 64}
    assert span.field("usage_details") == {"input": 11, "output": 7}
    assert datetime.fromisoformat(span.field("completion_start_time")) == FIRST_TOKEN
    assert (span.field("prompt.name"), span.field("prompt.version")) == ("quote", 3)
    assert span.field("metadata.prompt") == "quote@3"
    assert span.field("metadata.finish_reason") == "stop"
    assert span.field("output") == "to [EMAIL]"
    assert span.attributes["gen_ai.operation.name"] == "chat"
    assert span.attributes["gen_ai.usage.input_tokens"] == 11
    assert span.end > span.start


def test_an_error_in_a_stage_is_an_error_of_its_observation(traced: Traced) -> None:
    spans = traced[1]
    assert [s.name for s in spans.values() if s.error] == ["rerank"]
    assert (spans["rerank"].field("level"), spans["rerank"].field("status_message")) == ("ERROR", "ValueError")


async def test_a_stage_that_is_cancelled_is_no_error(receiver: OtlpReceiver) -> None:
    tracer = tracer_for(receiver.config)
    trace = tracer.start("chat", None, None, None, {})
    with pytest.raises(asyncio.CancelledError), tracer.observe(trace.carrier, "guard", "guardrail"):
        raise asyncio.CancelledError
    trace.end()
    tracer.close(GENEROUS_S)
    (guard,) = [s for s in receiver.trace(trace.id, 2) if s.name == "guard"]
    assert (guard.error, guard.field("level"), guard.field("status_message")) == (False, "WARNING", "cancelled")


async def test_requests_side_by_side_stay_apart(receiver: OtlpReceiver) -> None:
    tracer = tracer_for(receiver.config)

    async def one(n: int) -> str:
        trace = tracer.start("chat", n, f"user-{n}", None, {})
        with trace.start("guard", "guardrail", n):
            await asyncio.sleep(0.001)
            with tracer.observe(trace.carrier, "retrieve", "retriever", n):
                await asyncio.sleep(0.001)
        trace.end(n)
        return trace.id

    ids = await asyncio.gather(*(one(n) for n in range(20)))
    tracer.close(GENEROUS_S)
    receiver.wait(60)
    for n, id in enumerate(ids):
        spans = receiver.trace(id, 3)
        assert tree(spans) == {"chat": "", "guard": "chat", "retrieve": "chat"}
        assert {s.attributes["user.id"] for s in spans} == {f"user-{n}"}


def test_only_the_first_end_counts_and_late_observations_are_dropped(receiver: OtlpReceiver) -> None:
    tracer = tracer_for(receiver.config)
    trace = tracer.start("chat", None, None, None, {})
    with trace.start("guard", "guardrail") as guard:
        guard.end("first")
        guard.end("second")
    trace.end("done")
    tracer.close(GENEROUS_S)
    tracer.close(GENEROUS_S)
    assert isinstance(tracer.start("chat", None, None, None, {}), NoTrace)
    tracer.observe(trace.carrier, "late", "span").end()
    spans = receiver.trace(trace.id, 2)
    assert {s.name: s.field("output") for s in spans} == {"chat": "done", "guard": "first"}


def test_a_user_that_may_not_be_named_gets_a_pseudonym(receiver: OtlpReceiver) -> None:
    tracer = tracer_for(receiver.config)
    trace = tracer.start("chat", None, PLANTED, "x" * 300, {})
    trace.end()
    other = tracer.start("chat", None, PLANTED, None, {})
    other.end()
    tracer.close(GENEROUS_S)
    first, second = receiver.trace(trace.id, 1)[0].attributes, receiver.trace(other.id, 1)[0].attributes
    assert first["user.id"].startswith("id-")
    assert first["user.id"] == second["user.id"]
    assert first["session.id"].startswith("id-")


def test_without_content_only_sizes_are_sent(receiver: OtlpReceiver) -> None:
    tracer = tracer_for(receiver.config, capture_content=False)
    trace = tracer.start("chat", "the question", None, None, {})
    trace.start("generate", "generation", "the question", model="quote").end("the answer")
    trace.end("the answer", level="ERROR", status_message="failed on the answer")
    tracer.close(GENEROUS_S)
    chat, generate = receiver.trace(trace.id, 2)
    assert b"the answer" not in receiver.raw
    assert b"the question" not in receiver.raw
    assert chat.field("input") == {"chars": 12}
    assert (generate.field("output"), generate.field("model.name")) == ({"chars": 10}, "quote")


@pytest.mark.parametrize(
    "media",
    [
        "data:image/png;base64,aGVsbG8=",
        '["data:image/png;base64,aGVsbG8="]',
        '{"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}',
    ],
)
def test_what_looks_like_media_is_text_and_uploads_nothing(receiver: OtlpReceiver, media: str) -> None:
    tracer = tracer_for(receiver.config)
    trace = tracer.start("chat", media, None, None, {})
    trace.end([media])
    tracer.close(GENEROUS_S)
    (span,) = receiver.trace(trace.id, 1)
    assert span.attributes["langfuse.observation.input"] == media
    assert receiver.problems == []


def test_sampling_is_by_trace_id_and_what_is_not_sampled_costs_its_stages_nothing(receiver: OtlpReceiver) -> None:
    tracer = tracer_for(receiver.config, sample_rate=0.5)
    traces = [tracer.start("chat", None, None, None, {}) for _ in range(100)]
    kept = [t for t in traces if isinstance(t, LangfuseTrace)]
    assert 0 < len(kept) < 100
    assert all(t.carrier == {} and len(t.id) == 32 for t in traces if t not in kept)
    assert {int(t.id[16:], 16) < 2**63 for t in kept} == {True}
    for trace in traces:
        with tracer.observe(trace.carrier, "guard", "guardrail"):
            pass
        trace.end()
    tracer.close(GENEROUS_S)
    assert {s.trace for s in receiver.wait(2 * len(kept))} == {t.id for t in kept}


def test_a_tracer_touches_no_global_provider_and_can_follow_another_of_the_same_key(receiver: OtlpReceiver) -> None:
    before = global_trace.get_tracer_provider()
    for n in range(2):
        tracer = tracer_for(receiver.config)
        tracer.start(f"chat-{n}", None, None, None, {}).end()
        tracer.close(GENEROUS_S)
    assert {s.name for s in receiver.wait(2)} == {"chat-0", "chat-1"}
    assert global_trace.get_tracer_provider() is before
