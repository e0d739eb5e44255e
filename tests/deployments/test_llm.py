"""How vLLM's protocol is spoken: what a Prompt becomes, and what its stream says."""

import json
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest
from vllm.entrypoints.serve.exception_handling.error_response import create_error_response
from vllm.exceptions import GenerationError, VLLMValidationError
from vllm.sampling_params import SamplingParams
from vllm.v1.engine.exceptions import EngineDeadError
from vllm.v1.structured_output.backend_guidance import validate_guidance_grammar
from vllm.v1.structured_output.backend_xgrammar import validate_xgrammar_grammar

from deployments.autoscaling import LOAD, SLEEPS
from deployments.engine_load import Figures, Listener, ScalingConfig
from deployments.llm import LLM, chat_request, pieces
from rag.begun import Begun
from rag.errors import InvalidInput, PromptTooLong, StageFailed, StageUnavailable
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


def streamed(error: Exception) -> str:
    """The event that vLLM's stream generator makes of an exception."""
    return event(error=create_error_response(error).error.model_dump())


@pytest.mark.parametrize(
    ("schema", "validate"),
    [
        ({"type": "string", "pattern": "(((("}, validate_xgrammar_grammar),
        ({"type": "integer", "minimum": 10**40}, validate_guidance_grammar),
    ],
)
def test_a_schema_that_a_backend_refuses_is_the_clients_error(
    schema: dict[str, Any], validate: Callable[[SamplingParams], None]
) -> None:
    asked = chat_request(Prompt("quote", PROMPT.messages, schema=json.dumps(schema)))
    with pytest.raises(VLLMValidationError) as refused:
        validate(asked.to_sampling_params(10, {}))
    with pytest.raises(InvalidInput) as caught:
        pieces(streamed(refused.value), Begun(""), constrained=True)
    assert caught.value.param == "response_format"
    assert str(caught.value) == "the engine cannot constrain its output to this JSON schema"


@pytest.mark.parametrize(
    ("error", "constrained", "kind", "param"),
    [
        (GenerationError(), True, InvalidInput, "response_format"),
        (GenerationError(), False, StageFailed, None),
        (RuntimeError("/opt/secret"), True, StageFailed, None),
        (VLLMValidationError("This model's maximum context length is 9 tokens."), True, PromptTooLong, "messages"),
        (VLLMValidationError("Input is longer than the maximum model length of 9."), False, PromptTooLong, "messages"),
        (ValueError("Input length (9) exceeds model's maximum context length (8)."), False, PromptTooLong, "messages"),
        (VLLMValidationError("seed"), False, InvalidInput, None),
    ],
    ids=repr,
)
@pytest.mark.parametrize("in_stream", [True, False])
def test_an_engines_error_is_told_by_whose_it_is(
    error: Exception, constrained: bool, kind: type[Exception], param: str | None, in_stream: bool
) -> None:
    line = streamed(error) if in_stream else create_error_response(error)
    with pytest.raises(kind) as caught:
        pieces(line, Begun(""), constrained)
    assert type(caught.value) is kind
    assert "secret" not in str(caught.value)
    assert getattr(caught.value, "param", None) == param


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


async def test_a_refused_schema_is_told_by_the_stream_that_asked_for_it() -> None:
    class Refusing(Broken):
        async def chat(self, request: Any, info: Any) -> AsyncGenerator[str]:
            yield streamed(VLLMValidationError('Grammar error: Unimplemented keys: ["uniqueItems"]'))

    asked = Prompt("quote", PROMPT.messages, schema='{"uniqueItems": true}')
    with pytest.raises(InvalidInput) as caught:
        await anext(Replica(Refusing(None)).generate(asked))
    assert caught.value.param == "response_format"


async def test_a_replica_reports_its_load_only_while_it_generates() -> None:
    replica = Replica(Broken(None), to_zero=True)
    replica.listener.cores[0] = Figures(running=1, kv_cache=0.4)
    assert replica.record_autoscaling_stats() == {LOAD: 0, SLEEPS: 1}
    made = replica.generate(PROMPT)
    await anext(made)
    assert replica.record_autoscaling_stats() == {LOAD: 0.8, SLEEPS: 1}
    await made.aclose()
    assert replica.record_autoscaling_stats() == {LOAD: 0, SLEEPS: 1}
