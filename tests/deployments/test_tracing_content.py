"""What observations hold: masked, bounded, JSON."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from deployments.tracing_content import FAILED, MARGIN, MAX_ITEMS, Content, arranged, gen_ai
from rag.types import Check, Document, Hit, Message, Passage, Verdict

MAIL = "ann@example.org"


def masking(text: str) -> str:
    return text.replace(MAIL, "[EMAIL]")


FULL = Content(masking, 1_000, True)
SIZES = Content(masking, 1_000, False)


@dataclass
class Unknown:
    secret: str = MAIL


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (None, None),
        (True, True),
        (3, 3),
        (np.float32(0.5), 0.5),
        (f"write to {MAIL}", "write to [EMAIL]"),
        ([MAIL, {"to": MAIL}], ["[EMAIL]", {"to": "[EMAIL]"}]),
        ((1, 2), [1, 2]),
        (np.zeros((2, 384), np.float32), {"shape": [2, 384]}),
        (Message("user", MAIL), {"role": "user", "content": "[EMAIL]"}),
        (Document("d", "text", MAIL), {"id": "d", "title": "[EMAIL]", "chars": 4}),
        (Unknown(), "Unknown"),
        (b"bytes", "bytes"),
    ],
)
def test_values_become_masked_json(value: Any, seen: Any) -> None:
    assert FULL.of(value) == seen
    json.dumps(FULL.of(value))


def test_a_hit_is_its_ids_and_scores_without_its_text() -> None:
    hit = Hit(Passage("d#1", "d", "the text", title="Title"), 0.51236, dense=0.4)
    assert FULL.of([hit]) == [{"id": "d#1", "title": "Title", "score": 0.5124, "dense": 0.4}]
    assert SIZES.of([hit]) == [{"score": 0.5124, "dense": 0.4}]


def test_a_verdict_is_its_decision_and_checks() -> None:
    verdict = Verdict(False, (Check("injection", "block", 0.91, 1.23456, f"saw {MAIL}"),), "No.")
    check = {"name": "injection", "action": "block", "ms": 1.235, "score": 0.91, "detail": "saw [EMAIL]"}
    assert FULL.of(verdict) == {"allowed": False, "checks": [check], "refusal": "No."}


def test_without_texts_only_sizes_leave() -> None:
    verdict = Verdict(False, (Check("c", "block", detail="abc"),), "No.")
    value = {"question": "four", "messages": [Message("user", "hello")], "verdict": verdict, "n": 2}
    assert SIZES.of(value) == {
        "question": {"chars": 4},
        "messages": [{"role": "user", "content": {"chars": 5}}],
        "verdict": {
            "allowed": False,
            "checks": [{"name": "c", "action": "block", "ms": 0.0, "detail": {"chars": 3}}],
            "refusal": {"chars": 3},
        },
        "n": 2,
    }


@pytest.mark.parametrize("rest", [0, 2_000, 20_000])
def test_a_cut_leaves_no_half_of_what_is_masked(rest: int) -> None:
    for place in [*range(970, 1_030), *range(1_000 + MARGIN - 30, 1_000 + MARGIN + 30)]:
        seen = FULL.of("." * place + MAIL + "." * rest)
        assert 900 < len(seen) < 1_100
        assert "ann" not in seen, place


def test_a_cut_is_told() -> None:
    assert FULL.of("x" * 1_000) == "x" * 1_000
    assert FULL.of("x" * 1_001) == "x" * 1_000 + "… [1,001 characters]"
    assert FULL.of("x" * 50_000) == "x" * 1_000 + "… [50,000 characters]"


def test_the_characters_of_one_value_are_bounded() -> None:
    seen = FULL.of(["x" * 600, "y" * 600, "z" * 600])
    assert seen[0] == "x" * 600
    assert len(seen[1]) < 600
    assert seen[2] == "[600 characters not sent]"
    assert len(FULL.of(list(range(10 * MAX_ITEMS)))) == MAX_ITEMS


def test_deep_and_circular_values_end() -> None:
    loop: list[Any] = []
    loop.append(loop)
    assert json.dumps(FULL.of(loop)).count("[") < 10


def test_a_mask_that_fails_lets_nothing_through() -> None:
    def broken(text: str) -> str:
        raise ValueError(text)

    assert Content(broken, 1_000, True).of([MAIL]) == [FAILED]


def test_reasons_are_masked_and_are_names_only_without_texts() -> None:
    assert FULL.reason(f"no {MAIL}") == "no [EMAIL]"
    assert SIZES.reason(f"no {MAIL}") is None
    assert SIZES.reason("StageUnavailable") == "StageUnavailable"


def test_fields_are_sorted_into_arguments_and_metadata() -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    out = arranged(
        "generation",
        {
            "model": "quote",
            "model_parameters": {"max_tokens": 5, "stop": [MAIL]},
            "usage_details": {"input": 1},
            "completion_start_time": first,
            "prompt": "quote@3",
            "metadata": {"tenant": MAIL},
            "finish_reason": "stop",
        },
        FULL,
    )
    assert (out["model"], out["usage_details"], out["completion_start_time"]) == ("quote", {"input": 1}, first)
    assert out["model_parameters"] == {"max_tokens": 5, "stop": ["[EMAIL]"]}
    assert (out["prompt"].name, out["prompt"].version) == ("quote", 3)
    assert out["metadata"] == {"prompt": "quote@3", "tenant": "[EMAIL]", "finish_reason": "stop"}


def test_a_model_of_a_stage_that_has_none_in_langfuse_is_metadata() -> None:
    assert arranged("retriever", {"model": "minilm"}, FULL)["metadata"] == {"model": "minilm"}


def test_gen_ai_attributes_are_those_known() -> None:
    fields = {"model": "quote", "usage_details": {"input": 3, "output": 4}, "model_parameters": {"temperature": 0.0}}
    assert gen_ai("generation", fields) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "quote",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 4,
        "gen_ai.request.temperature": 0.0,
    }
    assert gen_ai("retriever", fields) == {}
