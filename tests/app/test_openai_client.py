"""The official `openai` client against the application in process: answers, streams, and every error it knows."""

import base64
import struct
from typing import Any

import httpx2
import openai
import pytest

from app.application import create_app
from app.auth import digest
from app.services import HttpConfig, KeyConfig, ModelCard, Services
from rag.errors import Overloaded, StageFailed
from rag.fakes import FakeLLM
from tests.app.world import MODEL, fake_services

QUESTION: Any = [{"role": "user", "content": "How do replicas scale?"}]
TEXT: Any = {"type": "text", "text": "How do replicas scale?"}


def official(services: Services, key: str = "none") -> openai.AsyncOpenAI:
    transport = httpx2.ASGITransport(create_app(services), raise_app_exceptions=False)
    return openai.AsyncOpenAI(
        base_url="http://raglan.test/v1",
        api_key=key,
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(transport=transport),
    )


async def test_an_answer_and_its_citations() -> None:
    services = fake_services()
    async with official(services) as client:
        document = {"id": "a", "title": "Scaling", "url": "https://x.test/a", "text": "Replicas scale."}
        await client.post("/documents", body={"documents": [document]}, cast_to=object)
        answer = await client.chat.completions.create(model=MODEL, messages=QUESTION)
    message = answer.choices[0].message
    assert message.content == "Replicas scale on ongoing requests. [1]"
    assert message.annotations
    assert message.annotations[0].url_citation.url == "https://x.test/a"
    assert answer.usage
    assert answer.usage.total_tokens == 13
    assert (answer.model_extra or {})["raglan"]["passages"][0]["document_id"] == "a"


async def test_a_stream_with_usage() -> None:
    async with official(fake_services()) as client:
        stream = await client.chat.completions.create(
            model=MODEL, messages=QUESTION, stream=True, stream_options={"include_usage": True}
        )
        chunks = [chunk async for chunk in stream]
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert text == "Replicas scale on ongoing requests. [1]"
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "stop"
    assert chunks[-1].usage
    assert chunks[-1].usage.completion_tokens == 6


async def test_the_stream_helper_assembles_the_answer() -> None:
    async with (
        official(fake_services()) as client,
        client.chat.completions.stream(model=MODEL, messages=QUESTION) as stream,
    ):
        answer = await stream.get_final_completion()
    assert answer.choices[0].message.content == "Replicas scale on ongoing requests. [1]"


async def test_a_conversation_goes_on_with_the_message_as_it_came() -> None:
    async with official(fake_services()) as client:
        first = await client.chat.completions.create(model=MODEL, messages=QUESTION)
        going_on: Any = [*QUESTION, first.choices[0].message, {"role": "user", "content": "And down?"}]
        second = await client.chat.completions.create(model=MODEL, messages=going_on)
    assert second.choices[0].finish_reason == "stop"


async def test_an_error_in_the_stream_is_raised() -> None:
    llm = FakeLLM("One. Two. Three. Four.", errors=[StageFailed("llm")], die_after=2)
    async with official(fake_services(roles={"llm": llm})) as client:
        stream = await client.chat.completions.create(model=MODEL, messages=QUESTION, stream=True)
        with pytest.raises(openai.APIError) as raised:
            [chunk async for chunk in stream]
    assert (raised.value.code, raised.value.type) == ("stage_failed", "server_error")


@pytest.mark.parametrize(
    ("kind", "wishes", "code", "param"),
    [
        (openai.NotFoundError, {"model": "gpt-9"}, "model_not_found", "model"),
        (openai.BadRequestError, {"n": 2}, "unsupported_parameter", "n"),
        (openai.BadRequestError, {"extra_body": {"frobnicate": 1}}, "unknown_parameter", "frobnicate"),
        (openai.BadRequestError, {"temperature": 9}, "invalid_value", "temperature"),
    ],
)
async def test_a_bad_request(kind: type[openai.APIStatusError], wishes: Any, code: str, param: str) -> None:
    async with official(fake_services()) as client:
        with pytest.raises(kind) as raised:
            await client.chat.completions.create(**{"model": MODEL, "messages": QUESTION, **wishes})
    assert (raised.value.code, raised.value.param, raised.value.type) == (code, param, "invalid_request_error")


@pytest.mark.parametrize(
    "hints",
    [
        {"prompt_cache_key": "k", "prompt_cache_retention": "24h", "safety_identifier": "s"},
        {"prompt_cache_options": {"mode": "explicit", "ttl": "30m"}, "moderation": None},
        {"stream": True, "stream_options": {"include_obfuscation": False}},
        *({"service_tier": tier} for tier in ("auto", "default", "flex", "scale", "priority", "fast")),
        {"messages": [{"role": "assistant", "content": None}, {"role": "assistant"}, *QUESTION]},
        {"messages": [{"role": "user", "content": [{**TEXT, "prompt_cache_breakpoint": {"mode": "explicit"}}]}]},
    ],
)
async def test_hints_that_change_no_answer_are_taken(hints: Any) -> None:
    plain, hinted = FakeLLM(), FakeLLM()
    async with official(fake_services(roles={"llm": plain})) as client:
        await client.chat.completions.create(model=MODEL, messages=hints.get("messages", QUESTION))
    async with official(fake_services(roles={"llm": hinted})) as client:
        answer = await client.chat.completions.create(**{"model": MODEL, "messages": QUESTION, **hints})
        if hints.get("stream"):
            [chunk async for chunk in answer]
    assert hinted.prompts[0].messages == plain.prompts[0].messages


async def test_one_model() -> None:
    card = ModelCard("acme/quote-7b", "quote@1", 2048)
    keys = (KeyConfig(name="ada", sha256=digest("secret"), tenant="default"),)
    services = fake_services(HttpConfig(api_keys=keys), models={card.id: card})
    async with official(services, "secret") as client:
        [listed] = [model async for model in client.models.list()]
        assert await client.models.retrieve(card.id) == listed
        with pytest.raises(openai.NotFoundError) as raised:
            await client.models.retrieve("gpt-9")
    assert (raised.value.code, raised.value.param) == ("model_not_found", "model")
    async with official(services, "wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.retrieve(card.id)


async def test_overload_and_a_missing_key() -> None:
    llm = FakeLLM(errors=[Overloaded("llm")])
    async with official(fake_services(roles={"llm": llm})) as client:
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model=MODEL, messages=QUESTION)
    keys = (KeyConfig(name="ada", sha256=digest("secret"), tenant="default"),)
    async with official(fake_services(HttpConfig(api_keys=keys)), "wrong") as client:
        with pytest.raises(openai.AuthenticationError):
            await client.models.list()
    async with official(fake_services(HttpConfig(api_keys=keys)), "secret") as client:
        assert [m.id async for m in client.models.list()] == [MODEL, "big"]


async def test_embeddings_both_ways() -> None:
    async with official(fake_services()) as client:
        # The client asks for base64 by itself and decodes it.
        quiet = await client.embeddings.create(model="fake-embedder", input=["a b", "c"])
        plain = await client.embeddings.create(model="fake-embedder", input="a b", encoding_format="float")
        raw = await client.embeddings.create(model="fake-embedder", input="a b", encoding_format="base64")
    assert [e.index for e in quiet.data] == [0, 1]
    assert (quiet.usage.prompt_tokens, quiet.usage.total_tokens) == (3, 3)
    assert quiet.data[0].embedding == pytest.approx(plain.data[0].embedding)
    assert sum(x * x for x in plain.data[0].embedding) == pytest.approx(1)
    packed: Any = raw.data[0].embedding
    assert list(struct.unpack("<64f", base64.b64decode(packed))) == pytest.approx(plain.data[0].embedding)
