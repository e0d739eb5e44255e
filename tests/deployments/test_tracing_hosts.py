"""Tracing to hosts that are dead, silent or slow: requests, close and exit stay bounded, and so do the queues."""

import json
import secrets
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any, Literal

import pytest

from deployments import tracing_langfuse, tracing_outbox
from deployments.tracing import TracingConfig, make_tracer
from deployments.tracing_langfuse import LangfuseTracer
from tests.deployments.otlp_receiver import OtlpReceiver, wait_until

pytestmark = pytest.mark.world

ROOT = Path(__file__).resolve().parents[2]
GENEROUS_S = 10.0
Behaviour = Literal["answers", "fails", "silent"]


def tracer_for(config: dict[str, Any]) -> LangfuseTracer:
    tracer = make_tracer(TracingConfig.model_validate(config), str)
    assert isinstance(tracer, LangfuseTracer)
    return tracer


@pytest.mark.parametrize("behaviour", ["refused", "fails", "silent"])
def test_a_dead_host_delays_neither_requests_nor_close(behaviour: Behaviour | Literal["refused"]) -> None:
    kind: Behaviour = "fails" if behaviour == "refused" else behaviour
    with OtlpReceiver(secrets.token_hex(4), behaviour=kind) as receiver:
        config = {**receiver.config, "timeout_s": 5, "flush_s": 0.05}
        if behaviour == "refused":
            config["host"] = "http://127.0.0.1:1"
        tracer = tracer_for(config)
        begin = time.monotonic()
        for _ in range(100):
            trace = tracer.start("chat", "question", "u", "s", {})
            with tracer.observe(trace.carrier, "guard", "guardrail", "question"):
                pass
            trace.end("answer")
        requests_s = time.monotonic() - begin
        begin = time.monotonic()
        tracer.close(1.0)
        assert requests_s < GENEROUS_S
        assert time.monotonic() - begin < GENEROUS_S


def test_a_silent_host_delays_no_exit_of_a_process() -> None:
    with OtlpReceiver(behaviour="silent") as receiver:
        carrier = {"traceparent": f"00-{'1' * 32}-{'2' * 16}-01", "baggage": "langfuse_trace_id=" + "1" * 32}
        asked = {
            "config": {**receiver.config, "timeout_s": 60},
            "carrier": carrier,
            "secret": "planted",
            "close": False,
        }
        command = [sys.executable, "-m", "tests.deployments.traced_stage"]
        subprocess.run(command, input=json.dumps(asked), text=True, timeout=40, check=True, cwd=ROOT)


def test_the_queues_are_longer_than_the_sdks_and_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert tracing_outbox.QUEUE_SPANS > 2_048
    monkeypatch.setattr(tracing_langfuse, "QUEUE_SPANS", 200)
    monkeypatch.setattr(tracing_outbox, "QUEUE_SPANS", 100)
    stuck = threading.Event()

    def slow(text: str) -> str:
        stuck.wait(GENEROUS_S)
        return text

    with OtlpReceiver(secrets.token_hex(4), behaviour="silent") as receiver:
        tracer = make_tracer(TracingConfig.model_validate(receiver.config), slow)
        assert isinstance(tracer, LangfuseTracer)
        for _ in range(1_000):
            tracer.start("chat", "question", None, None, {}).end()
        assert tracer._outbox._waiting.qsize() <= 100
        assert caplog.text.count("100 observations wait to be masked; what further ones hold is dropped") == 1
        (processor,) = tracer._provider._active_span_processor._span_processors
        batches = processor._batch_processor  # type: ignore[attr-defined]
        assert 100 < len(batches._queue) <= 200
        stuck.set()
        tracer.close(0.1)


def test_a_failure_while_sending_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with OtlpReceiver(secrets.token_hex(4)) as receiver:
        tracer = tracer_for(receiver.config)
        with monkeypatch.context() as patched:
            patched.setattr(tracing_outbox, "gen_ai", lambda kind, fields: 1 / 0)
            tracer.start("poor", None, None, None, {}).end()
            wait_until(lambda: "could not be sent" in caplog.text)
        tracer.start("chat", None, None, None, {}).end()
        tracer.close(GENEROUS_S)
        assert [s.name for s in receiver.wait(2)] == ["poor", "chat"]
