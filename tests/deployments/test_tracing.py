"""Tracing without Langfuse: the configuration, the tracer that does nothing, and that it costs nothing."""

import pickle
import subprocess
import sys

import pytest
from pydantic import ValidationError

from deployments.tracing import NoTracer, TracingConfig, make_tracer

KEYS = {"public_key": "pk-lf-1", "secret_key": "sk-lf-planted"}

COUNT_SOCKETS = """
import sys
opened = []
sys.addaudithook(lambda event, args: opened.append(event) if event.startswith("socket.") else None)
from deployments.tracing import TracingConfig, make_tracer
tracer = make_tracer(TracingConfig(), str)
trace = tracer.start("chat", "hello", "u", "s", {})
with tracer.observe(trace.carrier, "guard", "guardrail", "hello"):
    pass
trace.start("generate", "generation", model="quote").end("hi")
trace.end("hi")
tracer.close()
found = [name for name in sys.modules if name.partition(".")[0] in ("langfuse", "opentelemetry")]
print(opened, found)
"""


def test_without_keys_nothing_is_recorded() -> None:
    tracer = make_tracer(TracingConfig(), str)
    assert isinstance(tracer, NoTracer)
    trace = tracer.start("chat", "hello", "u", "s", {"release": "r"})
    assert trace.carrier == {}
    trace.start("generate", "generation", "in", model="quote").end("out", usage_details={"input": 1})
    with tracer.observe(trace.carrier, "guard", "guardrail", "hello") as observation:
        observation.end("pass", level="ERROR")
    assert observation.carrier == {}
    trace.end("out")
    tracer.close()


def test_without_keys_every_trace_has_an_id_of_its_own() -> None:
    tracer = NoTracer()
    ids = {tracer.start("chat", None, None, None, {}).id for _ in range(100)}
    assert len(ids) == 100
    assert all(len(id) == 32 and int(id, 16) for id in ids)


def test_an_observation_lets_errors_through() -> None:
    with pytest.raises(ValueError, match="stage"), NoTracer().observe({}, "guard", "guardrail"):
        raise ValueError("stage")


@pytest.mark.world
def test_without_keys_no_socket_is_opened_and_nothing_is_imported() -> None:
    done = subprocess.run([sys.executable, "-c", COUNT_SOCKETS], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[] []"


def test_enabled_needs_both_keys() -> None:
    assert not TracingConfig().enabled
    assert TracingConfig.model_validate(KEYS).enabled


@pytest.mark.parametrize("one", ["public_key", "secret_key"])
def test_one_key_alone_is_a_mistake(one: str) -> None:
    with pytest.raises(ValidationError, match="go together"):
        TracingConfig.model_validate({one: KEYS[one]})


@pytest.mark.parametrize(
    "wrong",
    [
        {"host": "langfuse.example"},
        {"environment": "Production"},
        {"environment": "langfuse-prod"},
        {"sample_rate": 1.5},
        {"timeout_s": 0},
        {"unknown": 1},
    ],
)
def test_what_langfuse_would_drop_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        TracingConfig.model_validate(wrong)


def test_the_secret_stays_hidden_and_travels_to_replicas() -> None:
    config = TracingConfig.model_validate(KEYS)
    assert "planted" not in repr(config) + config.model_dump_json()
    there = pickle.loads(pickle.dumps(config))
    assert there.secret_key.get_secret_value() == KEYS["secret_key"]
