"""How vLLM's protocol is spoken: what a Prompt becomes, and what its stream says."""

import json
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from vllm.v1.engine.exceptions import EngineDeadError

from deployments.autoscaling import LOAD, SLEEPS
from deployments.engine_load import Figures, Listener, ScalingConfig
from deployments.llm import LLM, chat_request, pieces
from rag.begun import Begun
from rag.errors import InvalidInput, StageFailed, StageUnavailable
from rag.types import Message, Piece, Prompt, Usage

PROMPT = Prompt("quote", (Message("user", "How?"),))
USAGE = {"prompt_tokens": 5, "completion_tokens": 2}


def event(**fields: Any) -> str:
    return f"data: {json.dumps(fields)}\n\n"


def delta(content: str | None, reason: str | None = None, **more: Any) -> str:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": reason}
    return event(choices=[choice], usage=USAGE, **more)


def test_a_begun_answer_is_the_last_message_and_is_to_be_continued() -> None:
    fresh, begun = chat_request(PROMPT), chat_request(Prompt("quote", PROMPT.messages, begun="It is"))
    assert (fresh.add_generation_prompt, fresh.continue_final_message, len(fresh.messages)) == (True, False, 1)
    assert (begun.add_generation_prompt, begun.continue_final_message, begun.echo) == (False, True, False)
    assert begun.messages[-1] == {"role": "assistant", "content": "It is"}


def test_a_batch_prompt_is_scheduled_after_interactive_ones() -> None:
    batch = chat_request(Prompt("quote", PROMPT.messages, priority="batch"))
    assert batch.priority > chat_request(PROMPT).priority == 0


def test_each_piece_of_text_tells_the_tokens_used_so_far() -> None:
    assert pieces(delta("It"), Begun("")) == [Piece("It", usage=Usage(5, 2))]
    assert pieces(delta("", "stop"), Begun("")) == [Piece("", "stop", Usage(5, 2))]


def test_what_says_nothing_costs_no_message() -> None:
    assert pieces(delta(""), Begun("")) == pieces("data: [DONE]\n\n", Begun("")) == []


def test_the_last_piece_has_the_engines_queue_time() -> None:
    line = event(choices=[], usage=USAGE, metrics={"queue_time_ms": 1.5})
    assert pieces(line, Begun("")) == [Piece(usage=Usage(5, 2), queue_ms=1.5)]


def test_white_space_that_a_trimming_template_hid_is_not_sent_again() -> None:
    begun = Begun("One.\n")
    assert pieces(delta("", prompt_text="<user>How?<assistant>One."), begun) == []
    assert pieces(delta("\nTwo."), begun) == [Piece("Two.", usage=Usage(5, 2))]


def test_a_template_that_changes_the_begun_answer_is_refused() -> None:
    with pytest.raises(InvalidInput):
        pieces(delta("", prompt_text="<user>How?<assistant>"), Begun("One."))


def test_an_answer_given_up_by_its_engine_is_for_another_to_end() -> None:
    with pytest.raises(StageUnavailable):
        pieces(delta("", "abort"), Begun(""))


def test_an_engines_error_names_the_stage_and_no_more() -> None:
    with pytest.raises(StageFailed) as caught:
        pieces(event(error={"message": "/opt/secret", "code": 500}), Begun(""))
    assert "secret" not in str(caught.value)


class Broken:
    """An engine that says one word and fails; `dead` is what its health check raises."""

    def __init__(self, dead: Exception | None) -> None:
        self.dead = dead

    async def chat(self, request: Any, info: Any) -> AsyncGenerator[str]:
        yield delta("It")
        yield event(error={"message": "x", "code": 500})

    async def check_health(self) -> None:
        if self.dead:
            raise self.dead


class Replica:
    """An LLM without the engine that its constructor starts."""

    generate, still_there, under_way = LLM.generate, LLM.still_there, 0
    record_autoscaling_stats = LLM.record_autoscaling_stats

    def __init__(self, engine: Broken, to_zero: bool = False) -> None:
        self.engine = engine
        self.scaling = ScalingConfig(kv_cache=0.5, to_zero=to_zero)
        self.listener = Listener()


@pytest.mark.parametrize(("dead", "raised"), [(EngineDeadError(), StageUnavailable), (None, StageFailed)])
async def test_an_engine_that_died_under_its_replica_is_for_another_to_go_on(
    dead: Exception | None, raised: type[StageFailed]
) -> None:
    made = Replica(Broken(dead)).generate(PROMPT)
    assert await anext(made) == Piece("It", usage=Usage(5, 2))
    with pytest.raises(StageFailed) as caught:
        await anext(made)
    assert type(caught.value) is raised


async def test_a_replica_reports_its_load_only_while_it_generates() -> None:
    replica = Replica(Broken(None), to_zero=True)
    replica.listener.cores[0] = Figures(running=1, kv_cache=0.4)
    assert replica.record_autoscaling_stats() == {LOAD: 0, SLEEPS: 1}
    made = replica.generate(PROMPT)
    await anext(made)
    assert replica.record_autoscaling_stats() == {LOAD: 0.8, SLEEPS: 1}
    await made.aclose()
    assert replica.record_autoscaling_stats() == {LOAD: 0, SLEEPS: 1}
