"""The real engine as the shipped profile configures it: what it says, how it goes on, whom it serves first."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.models.test_quote import CASES, Quoter, chat

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "cluster" / "local.yaml"
CHATS = [chat(case) for case in CASES[::4]]


@pytest.fixture(scope="module")
def told() -> dict[str, Any]:
    """What real_engine.py prints, from a fresh process, which takes the engine with it when it ends."""
    model = yaml.safe_load(LOCAL.read_text())["applications"][0]["args"]["models"][0]
    environment = [f"{name}={value}" for name, value in model["env"].items()]
    command = [sys.executable, "-m", "tests.deployments.real_engine", str(LOCAL)]
    done = subprocess.run(
        ["sh", str(ROOT / "tests" / "isolate.sh"), "env", *environment, *command],
        input=json.dumps(CHATS),
        capture_output=True,
        text=True,
        timeout=280,
        cwd=ROOT,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    (found,) = (json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"answers"'))
    return dict(found)


@pytest.mark.vllm
def test_it_answers_as_transformers_does(told: dict[str, Any]) -> None:
    quoter = Quoter()
    assert told["answers"] == [quoter.answer(messages) for messages in CHATS]


@pytest.mark.vllm
def test_an_engine_that_goes_on_with_an_answer_says_the_same(told: dict[str, Any]) -> None:
    cuts = [
        (answer, resumed)
        for answer, answers in zip(told["answers"], told["resumed"], strict=True)
        for resumed in answers
    ]
    assert len(cuts) > 4 * len(CHATS)
    assert [resumed for answer, resumed in cuts if resumed != answer] == []


@pytest.mark.vllm
def test_an_interactive_request_comes_before_the_batch_ones_that_wait_for_the_engine(told: dict[str, Any]) -> None:
    order = told["order"]
    assert order.index("interactive") == 8
    assert len(order) == 13


@pytest.mark.vllm
def test_a_schema_that_the_engine_cannot_enforce_is_refused_by_name(told: dict[str, Any]) -> None:
    assert told["refused"] == "response_format"


def test_every_profile_lets_the_engine_order_by_priority() -> None:
    for profile in (LOCAL, ROOT / "cluster" / "gpu.yaml"):
        models = yaml.safe_load(profile.read_text())["applications"][0]["args"]["models"]
        assert {model["engine"]["scheduling_policy"] for model in models} == {"priority"}
