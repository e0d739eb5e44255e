"""A JSON schema on its way through vLLM's own request, validators and stream, without an engine behind them."""

import json
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest
from ray.llm._internal.serve.engines.vllm.vllm_engine import VLLMEngine
from vllm.config import StructuredOutputsConfig
from vllm.entrypoints.openai.chat_completion.serving import OpenAIServingChat
from vllm.sampling_params import SamplingParams
from vllm.tokenizers import get_tokenizer
from vllm.v1.engine.async_llm import AsyncLLM
from vllm.v1.serial_utils import MsgpackDecoder, MsgpackEncoder

from deployments.llm import chat_request
from rag.errors import InvalidInput, StageFailed
from rag.types import Message, Prompt
from tests.deployments.test_llm import Broken, Replica, delta, event

TOKENIZER = get_tokenizer("models/quote")
AUTO, XGRAMMAR, GUIDANCE, OUTLINES = "auto", "xgrammar", "guidance", "outlines"
REFUSED: list[tuple[dict[str, Any], tuple[str, ...]]] = [
    ({"type": "array", "uniqueItems": True}, (AUTO, XGRAMMAR, GUIDANCE)),
    ({"type": "string", "format": "iri"}, (AUTO, XGRAMMAR, GUIDANCE, OUTLINES)),
    ({"type": "string", "pattern": "^(?=a)a$"}, (GUIDANCE,)),
    ({"type": "string", "pattern": r"^(a)\1$"}, (AUTO, XGRAMMAR, GUIDANCE, OUTLINES)),
    ({"type": "string", "pattern": r"\bword\b", "minLength": 2}, (AUTO, XGRAMMAR, GUIDANCE)),
    ({"$ref": "#/$defs/nothing"}, (AUTO, XGRAMMAR, GUIDANCE, OUTLINES)),
    ({"$ref": "#/$defs/context length"}, (AUTO, XGRAMMAR, GUIDANCE, OUTLINES)),
    ({"type": "integer", "minimum": 5, "maximum": 1}, (AUTO, XGRAMMAR, GUIDANCE)),
    ({"type": "string", "minLength": 5, "maxLength": 1}, (AUTO, XGRAMMAR, GUIDANCE, OUTLINES)),
    ({"enum": []}, (AUTO, XGRAMMAR, GUIDANCE)),
    ({"type": "object", "patternProperties": {"^(?=a)": {}}}, (XGRAMMAR, GUIDANCE)),
    ({"not": {"type": "string"}}, (GUIDANCE, OUTLINES)),
]


def asked(schema: dict[str, Any]) -> Prompt:
    return Prompt("quote", (Message("user", "Which?"),), schema=json.dumps(schema))


class Client:
    """AsyncLLM up to where it would hand the request to the engine."""

    generate, log_requests = AsyncLLM.generate, False

    def __init__(self, backend: str) -> None:
        self.config = StructuredOutputsConfig(backend=backend)

    async def add_request(self, request_id: str, prompt: str, params: SamplingParams, **_: Any) -> None:
        params._validate_structured_outputs(SimpleNamespace(is_diffusion=False), self.config, TOKENIZER)
        raise RuntimeError("/opt/secret")


class Engine(Broken):
    """Ray's engine and vLLM's chat stream over such a client."""

    chat = VLLMEngine.chat

    def __init__(self, backend: str) -> None:
        super().__init__(None)
        self.client, self._oai_serving_chat = Client(backend), self

    def _validate_openai_serving_chat(self) -> None: ...

    async def create_chat_completion(self, request: Any, raw_request: Any) -> AsyncGenerator[str]:
        serving = object.__new__(OpenAIServingChat)
        serving.parser_cls, serving.enable_force_include_usage = None, False
        results = self.client.generate("", request.to_sampling_params(10, {}), "1")
        return serving.chat_completion_stream_generator(request, results, "1", "quote", [], TOKENIZER, None)


@pytest.mark.parametrize(("schema", "backend"), [(s, b) for s, backends in REFUSED for b in backends], ids=json.dumps)
async def test_a_schema_that_vllm_refuses_is_the_clients_error(schema: dict[str, Any], backend: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        await anext(Replica(Engine(backend)).generate(asked(schema)))
    assert type(caught.value) is InvalidInput
    assert caught.value.param == "response_format"
    assert str(caught.value) == "the engine cannot constrain its output to this JSON schema"


async def test_what_fails_behind_a_sound_schema_stays_the_engines_error() -> None:
    with pytest.raises(StageFailed) as caught:
        await anext(Replica(Engine(AUTO)).generate(asked({"type": "integer"})))
    assert str(caught.value) == "llm: the engine failed while generating"


@pytest.mark.parametrize(
    ("code", "message"), [(400, "unhashable type: 'list'"), (400, "schema"), (500, "Internal server error")]
)
async def test_an_engine_that_fails_after_its_first_text_did_not_refuse_the_request(code: int, message: str) -> None:
    class Failing(Broken):
        async def chat(self, request: Any, info: Any) -> AsyncGenerator[str]:
            yield delta("[")
            yield event(error={"message": message, "code": code})

    made = Replica(Failing(None)).generate(asked({"type": "array"}))
    await anext(made)
    with pytest.raises(StageFailed):
        await anext(made)


def test_a_number_over_64_bits_reaches_the_engine() -> None:
    schema = {"const": 10**40}
    params = chat_request(asked(schema)).to_sampling_params(10, {})
    sent = MsgpackDecoder(SamplingParams).decode(MsgpackEncoder().encode(params))
    assert json.loads(sent.structured_outputs.json) == schema
