"""Reading what the load's client noted."""

import json
from typing import Any

import pytest

from benchmarks.serving_load import Exchange, events, read


def event(**fields: Any) -> bytes:
    return f"data: {json.dumps(fields)}\n\n".encode()


def delta(text: str, **more: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": None}], **more)


DONE = b"data: [DONE]\n\n"
USAGE = event(
    choices=[], usage={"prompt_tokens": 30, "completion_tokens": 3}, metrics={"queue_time_ms": 0.5, "x": None}
)


def exchange(*reads: tuple[float, bytes], status: int = 200, error: str = "") -> Exchange:
    return Exchange(2, 10.0, 11.0, [(10.0 + at, data) for at, data in reads], status, error)


def test_an_answer_is_read_with_the_times_of_its_text() -> None:
    answer = read(exchange((0.1, delta("")), (0.2, delta("a")), (0.4, delta("b") + delta("c")), (0.5, USAGE + DONE)))
    assert (answer.case, answer.text, answer.steps, answer.error) == (2, "abc", 3, "")
    assert (answer.first, answer.last, answer.end) == pytest.approx((0.2, 0.4, 1.0))
    assert (answer.prompt_tokens, answer.output_tokens) == (30, 3)
    assert answer.engine == {"queue_time_ms": 0.5}


def test_an_event_came_when_its_last_byte_did() -> None:
    whole = delta("a")
    found = events(exchange((0.1, whole[:9]), (0.3, whole[9:] + DONE[:4]), (0.6, DONE[4:])))
    assert [at for at, _ in found] == pytest.approx([10.3, 10.6])
    assert found[1][1] == "[DONE]"


def test_raglans_report_gives_the_stages() -> None:
    report = delta("", raglan={"timings": {"ttft": 12.0}}, usage=None)
    answer = read(exchange((0.1, delta("a")), (0.2, report), (0.3, USAGE), (0.3, DONE)))
    assert answer.timings == {"ttft": 12.0}
    assert answer.output_tokens == 3


@pytest.mark.parametrize(
    ("seen", "error"),
    [
        (exchange((0.1, delta("a"))), "the answer broke off"),
        (exchange((0.1, DONE)), "the answer broke off"),
        (exchange((0.1, delta("a")), error="ClientPayloadError"), "ClientPayloadError"),
        (exchange((0.1, b'{"error": {}}'), status=429), "HTTP 429"),
        (exchange((0.1, delta("a")), (0.2, event(error={"code": "stage_failed"}))), "stage_failed"),
    ],
)
def test_an_answer_that_is_not_whole_says_why(seen: Exchange, error: str) -> None:
    assert read(seen).error == error
