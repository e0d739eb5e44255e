"""Every way we know to fill a field wrongly: each is a 4xx that names the field, in OpenAI's envelope."""

from typing import Any

import pytest

from tests.app.refusals import APP, CHAT, DOCUMENTS, EMBED, FEEDBACK, SEARCH, USER, VALID, check
from tests.app.world import MODEL, browser


def schema(wrong: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": wrong}}}


def nested(levels: int) -> dict[str, Any]:
    inner: dict[str, Any] = {}
    for _ in range(levels):
        inner = {"items": inner}
    return inner


def messages(*given: Any) -> dict[str, Any]:
    return {"messages": list(given)}


def parts(*given: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(given)}]}


def named(**fields: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": fields}}


def document(**fields: Any) -> dict[str, Any]:
    return {"documents": [{"text": "because", **fields}]}


FORMAT, CONTENT = "response_format.json_schema", "messages[0].content"
OBFUSCATION = "stream_options.include_obfuscation"
UNLIKE = [{"": n} for n in range(1_300)]
TOOLS, SCHEMA = "messages[0].tool_calls", f"{FORMAT}.schema"
WRONG_FIELDS: list[tuple[str, dict[str, Any], str, str]] = [
    # path, what differs from VALID (... removes the field), code, param
    (CHAT, {"model": ...}, "missing_required_parameter", "model"),
    (CHAT, {"model": ""}, "invalid_value", "model"),
    (CHAT, {"model": None}, "invalid_type", "model"),
    (CHAT, {"model": 7}, "invalid_type", "model"),
    (CHAT, {"model": "gpt-9"}, "model_not_found", "model"),
    (CHAT, {"model": "x" * 201}, "invalid_value", "model"),
    (CHAT, {"model": "../../etc/passwd"}, "model_not_found", "model"),
    (CHAT, {"messages": ...}, "missing_required_parameter", "messages"),
    (CHAT, {"messages": []}, "invalid_value", "messages"),
    (CHAT, {"messages": "Why?"}, "invalid_type", "messages"),
    (CHAT, {"messages": {}}, "invalid_type", "messages"),
    (CHAT, {"messages": None}, "invalid_type", "messages"),
    (CHAT, messages("Why?"), "invalid_type", "messages[0]"),
    (CHAT, messages({}), "missing_required_parameter", "messages[0].role"),
    (CHAT, messages({"role": "user"}), "missing_required_parameter", CONTENT),
    (CHAT, messages({"content": "x"}), "missing_required_parameter", "messages[0].role"),
    (CHAT, messages({"role": "tool", "content": "x"}), "invalid_value", "messages[0].role"),
    (CHAT, messages({"role": "user", "content": ""}), "invalid_value", CONTENT),
    (CHAT, messages({"role": "user", "content": " \n\t"}), "invalid_value", CONTENT),
    (CHAT, messages({"role": "user", "content": None}), "invalid_type", CONTENT),
    (CHAT, messages({"role": "user", "content": 3}), "invalid_type", CONTENT),
    (CHAT, messages({"role": "user", "content": []}), "invalid_value", CONTENT),
    (CHAT, parts("x"), "invalid_type", f"{CONTENT}[0]"),
    (CHAT, parts({"type": "text"}), "missing_required_parameter", f"{CONTENT}[0].text"),
    (CHAT, parts({"type": "image_url", "text": "x"}), "invalid_value", f"{CONTENT}[0].type"),
    (CHAT, parts({"type": "text", "text": "x", "image_url": 1}), "unknown_parameter", f"{CONTENT}[0].image_url"),
    (CHAT, messages({"role": "system", "content": ""}, USER), "invalid_value", CONTENT),
    (CHAT, messages({**USER, "mood": "good"}), "unknown_parameter", "messages[0].mood"),
    (CHAT, messages({**USER, "name": "x" * 65}), "invalid_value", "messages[0].name"),
    (CHAT, messages({**USER, "tool_calls": [{}]}), "unknown_parameter", TOOLS),
    (CHAT, messages({"role": "assistant", "content": "x", "tool_calls": [1]}, USER), "invalid_value", TOOLS),
    (CHAT, messages({**USER, "content": "x" * 1_001}), "too_large", CONTENT),
    (CHAT, parts(*[{"type": "text", "text": "x" * 600}] * 2), "too_large", CONTENT),
    (CHAT, messages(*[USER] * 5), "too_large", "messages"),
    (CHAT, messages(USER, {"role": "assistant", "content": "x"}), "invalid_value", "messages[1].role"),
    (CHAT, messages({"role": "system", "content": "x"}), "invalid_value", "messages[0].role"),
    (CHAT, {"stream": "true"}, "invalid_type", "stream"),
    (CHAT, {"stream": 1}, "invalid_type", "stream"),
    (CHAT, {"stream_options": {"include_usage": True}}, "invalid_value", "stream_options"),
    (CHAT, {"stream": True, "stream_options": {"include_usage": "x"}}, "invalid_type", "stream_options.include_usage"),
    (CHAT, {"stream": True, "stream_options": {"include_obfuscation": True}}, "invalid_value", OBFUSCATION),
    (CHAT, {"stream": True, "stream_options": {"x": 1}}, "unknown_parameter", "stream_options.x"),
    (CHAT, {"max_tokens": 0}, "invalid_value", "max_tokens"),
    (CHAT, {"max_tokens": -1}, "invalid_value", "max_tokens"),
    (CHAT, {"max_tokens": "12"}, "invalid_type", "max_tokens"),
    (CHAT, {"max_tokens": 1.5}, "invalid_type", "max_tokens"),
    (CHAT, {"max_tokens": True}, "invalid_type", "max_tokens"),
    (CHAT, {"max_tokens": 10**12}, "invalid_value", "max_tokens"),
    (CHAT, {"max_tokens": 2048}, "invalid_value", "max_tokens"),
    (CHAT, {"max_completion_tokens": 0}, "invalid_value", "max_completion_tokens"),
    (CHAT, {"max_completion_tokens": 4096}, "invalid_value", "max_completion_tokens"),
    (CHAT, {"max_tokens": 4, "max_completion_tokens": 4}, "invalid_value", "max_tokens"),
    (CHAT, {"temperature": -0.1}, "invalid_value", "temperature"),
    (CHAT, {"temperature": 2.1}, "invalid_value", "temperature"),
    (CHAT, {"temperature": "hot"}, "invalid_type", "temperature"),
    (CHAT, {"temperature": True}, "invalid_type", "temperature"),
    (CHAT, {"top_p": 0}, "invalid_value", "top_p"),
    (CHAT, {"top_p": 1.1}, "invalid_value", "top_p"),
    (CHAT, {"top_p": []}, "invalid_type", "top_p"),
    (CHAT, {"stop": ["a"] * 5}, "invalid_value", "stop"),
    (CHAT, {"stop": ""}, "invalid_value", "stop"),
    (CHAT, {"stop": [""]}, "invalid_value", "stop[0]"),
    (CHAT, {"stop": 1}, "invalid_type", "stop"),
    (CHAT, {"stop": [1]}, "invalid_type", "stop[0]"),
    (CHAT, {"stop": "x" * 101}, "invalid_value", "stop"),
    (CHAT, {"seed": 2**53}, "invalid_value", "seed"),
    (CHAT, {"seed": "1"}, "invalid_type", "seed"),
    (CHAT, {"user": "x" * 257}, "invalid_value", "user"),
    (CHAT, {"user": 1}, "invalid_type", "user"),
    (CHAT, {"prompt_cache_key": 1}, "invalid_type", "prompt_cache_key"),
    (CHAT, {"prompt_cache_retention": "1y"}, "invalid_value", "prompt_cache_retention"),
    (CHAT, {"response_format": "json"}, "invalid_type", "response_format"),
    (CHAT, {"response_format": {}}, "missing_required_parameter", "response_format.type"),
    (CHAT, {"response_format": {"type": "xml"}}, "invalid_value", "response_format.type"),
    (CHAT, {"response_format": {"type": "text", "x": 1}}, "unknown_parameter", "response_format.x"),
    (CHAT, {"response_format": {"type": "json_schema"}}, "missing_required_parameter", FORMAT),
    (CHAT, named(schema={}), "missing_required_parameter", f"{FORMAT}.name"),
    (CHAT, named(name="x"), "missing_required_parameter", SCHEMA),
    (CHAT, named(name="a b", schema={}), "invalid_value", f"{FORMAT}.name"),
    (CHAT, schema("x"), "invalid_type", SCHEMA),
    (CHAT, schema({"type": "strange"}), "invalid_value", SCHEMA),
    (CHAT, schema({"type": 5}), "invalid_value", SCHEMA),
    (CHAT, schema({"type": "object", "properties": []}), "invalid_value", SCHEMA),
    (CHAT, schema({"type": "object", "required": "a"}), "invalid_value", SCHEMA),
    (CHAT, schema({"minimum": "1"}), "invalid_value", SCHEMA),
    (CHAT, schema({"pattern": "("}), "invalid_value", SCHEMA),
    (CHAT, schema({"$schema": []}), "invalid_value", SCHEMA),
    (CHAT, schema({"$ref": 3}), "invalid_value", SCHEMA),
    (CHAT, schema(nested(300)), "invalid_value", SCHEMA),
    (CHAT, schema({"description": "x" * 16_001}), "too_large", SCHEMA),
    (CHAT, schema({"$schema": "http://[x"}), "invalid_value", SCHEMA),
    (CHAT, schema({"$schema": "http://json-schema.org/draft-04/schema#", "enum": UNLIKE}), "too_large", SCHEMA),
    (CHAT, schema({"properties": {"a": {"type": UNLIKE}}}), "too_large", SCHEMA),
    (CHAT, schema({"anyOf": [{}] * 999}), "too_large", SCHEMA),
    (CHAT, {"n": 2}, "unsupported_parameter", "n"),
    (CHAT, {"n": 0}, "unsupported_parameter", "n"),
    (CHAT, {"n": True}, "unsupported_parameter", "n"),
    (CHAT, {"tools": [{"type": "function"}]}, "unsupported_parameter", "tools"),
    (CHAT, {"tool_choice": "required"}, "unsupported_parameter", "tool_choice"),
    (CHAT, {"functions": [{}]}, "unsupported_parameter", "functions"),
    (CHAT, {"function_call": "auto"}, "unsupported_parameter", "function_call"),
    (CHAT, {"logprobs": True}, "unsupported_parameter", "logprobs"),
    (CHAT, {"top_logprobs": 3}, "unsupported_parameter", "top_logprobs"),
    (CHAT, {"logit_bias": {"50256": -100}}, "unsupported_parameter", "logit_bias"),
    (CHAT, {"frequency_penalty": 0.5}, "unsupported_parameter", "frequency_penalty"),
    (CHAT, {"presence_penalty": 1}, "unsupported_parameter", "presence_penalty"),
    (CHAT, {"modalities": ["audio"]}, "unsupported_parameter", "modalities"),
    (CHAT, {"audio": {"voice": "x"}}, "unsupported_parameter", "audio"),
    (CHAT, {"prediction": {}}, "unsupported_parameter", "prediction"),
    (CHAT, {"reasoning_effort": "high"}, "unsupported_parameter", "reasoning_effort"),
    (CHAT, {"moderation": {"model": "omni-moderation-latest"}}, "unsupported_parameter", "moderation"),
    (CHAT, {"service_tier": "batch"}, "invalid_value", "service_tier"),
    (CHAT, {"service_tier": 1}, "invalid_value", "service_tier"),
    (CHAT, {"store": True}, "unsupported_parameter", "store"),
    (CHAT, {"metadata": {"a": "b"}}, "unsupported_parameter", "metadata"),
    (CHAT, {"web_search_options": {}}, "unsupported_parameter", "web_search_options"),
    (CHAT, {"frobnicate": 1}, "unknown_parameter", "frobnicate"),
    (CHAT, {"tenant": "other"}, "unknown_parameter", "tenant"),
    (CHAT, {"x" * 5_000: 1}, "unknown_parameter", "x" * 100),
    (CHAT, {"raglan": 1}, "invalid_type", "raglan"),
    (CHAT, {"raglan": {"tenant": "other"}}, "unknown_parameter", "raglan.tenant"),
    (CHAT, {"raglan": {"guard": False}}, "unknown_parameter", "raglan.guard"),
    (CHAT, {"raglan": {"top_k": 0}}, "invalid_value", "raglan.top_k"),
    (CHAT, {"raglan": {"top_k": 51}}, "invalid_value", "raglan.top_k"),
    (CHAT, {"raglan": {"top_k": "4"}}, "invalid_type", "raglan.top_k"),
    (CHAT, {"raglan": {"retrieve": "no"}}, "invalid_type", "raglan.retrieve"),
    (CHAT, {"raglan": {"session_id": "a b"}}, "invalid_value", "raglan.session_id"),
    (CHAT, {"raglan": {"session_id": "x" * 129}}, "invalid_value", "raglan.session_id"),
    (SEARCH, {"query": ...}, "missing_required_parameter", "query"),
    (SEARCH, {"query": ""}, "invalid_value", "query"),
    (SEARCH, {"query": "  "}, "invalid_value", "query"),
    (SEARCH, {"query": 1}, "invalid_type", "query"),
    (SEARCH, {"query": "x" * 1_001}, "too_large", "query"),
    (SEARCH, {"top_k": 0}, "invalid_value", "top_k"),
    (SEARCH, {"top_k": 2.5}, "invalid_type", "top_k"),
    (SEARCH, {"rerank": "yes"}, "invalid_type", "rerank"),
    (SEARCH, {"tenant": "x"}, "unknown_parameter", "tenant"),
    (EMBED, {"model": MODEL}, "model_not_found", "model"),
    (EMBED, {"model": ...}, "missing_required_parameter", "model"),
    (EMBED, {"input": ...}, "missing_required_parameter", "input"),
    (EMBED, {"input": ""}, "invalid_value", "input"),
    (EMBED, {"input": []}, "invalid_value", "input"),
    (EMBED, {"input": ["a", ""]}, "invalid_value", "input[1]"),
    (EMBED, {"input": [1, 2]}, "invalid_type", "input[0]"),
    (EMBED, {"input": ["a"] * 257}, "invalid_value", "input"),
    (EMBED, {"input": "x" * 1_001}, "too_large", "input"),
    (EMBED, {"input": ["x", "x" * 1_001]}, "too_large", "input[1]"),
    (EMBED, {"encoding_format": "hex"}, "invalid_value", "encoding_format"),
    (EMBED, {"dimensions": 8}, "unknown_parameter", "dimensions"),
    (DOCUMENTS, {"documents": ...}, "missing_required_parameter", "documents"),
    (DOCUMENTS, {"documents": []}, "invalid_value", "documents"),
    (DOCUMENTS, {"documents": ["x"]}, "invalid_type", "documents[0]"),
    (DOCUMENTS, {"documents": [{"text": "a"}] * 257}, "invalid_value", "documents"),
    (DOCUMENTS, {"tenant": "x"}, "unknown_parameter", "tenant"),
    (DOCUMENTS, {"documents": [{"id": "a"}]}, "missing_required_parameter", "documents[0].text"),
    (DOCUMENTS, document(text=""), "invalid_value", "documents[0].text"),
    (DOCUMENTS, document(text=" \n"), "invalid_value", "documents[0].text"),
    (DOCUMENTS, document(text=1), "invalid_type", "documents[0].text"),
    (DOCUMENTS, document(text="x" * 2_001), "too_large", "documents[0]"),
    (DOCUMENTS, document(id=""), "invalid_value", "documents[0].id"),
    (DOCUMENTS, document(id="a\n"), "invalid_value", "documents[0].id"),
    (DOCUMENTS, document(id=" a"), "invalid_value", "documents[0].id"),
    (DOCUMENTS, document(id="x" * 513), "invalid_value", "documents[0].id"),
    (DOCUMENTS, document(id=5), "invalid_type", "documents[0].id"),
    (DOCUMENTS, document(url="javascript:alert(1)"), "invalid_value", "documents[0].url"),
    (DOCUMENTS, document(url="data:text/html,x"), "invalid_value", "documents[0].url"),
    (DOCUMENTS, document(url="java\nscript:x"), "invalid_value", "documents[0].url"),
    (DOCUMENTS, document(url="x" * 2_001), "invalid_value", "documents[0].url"),
    (DOCUMENTS, document(title="x" * 501), "invalid_value", "documents[0].title"),
    (DOCUMENTS, document(metadata={"a": 1}), "invalid_type", "documents[0].metadata.a"),
    (DOCUMENTS, document(metadata=["a"]), "invalid_type", "documents[0].metadata"),
    (DOCUMENTS, document(metadata={str(n): "" for n in range(33)}), "invalid_value", "documents[0].metadata"),
    (DOCUMENTS, document(tenant="x"), "unknown_parameter", "documents[0].tenant"),
    (DOCUMENTS, {"documents": [{"id": "a", "text": "a"}] * 2}, "invalid_value", "documents[1]"),
    (FEEDBACK, {"trace_id": ...}, "missing_required_parameter", "trace_id"),
    (FEEDBACK, {"trace_id": "x"}, "invalid_value", "trace_id"),
    (FEEDBACK, {"trace_id": "0" * 32 + "\n"}, "invalid_value", "trace_id"),
    (FEEDBACK, {"rating": "meh"}, "invalid_value", "rating"),
    (FEEDBACK, {"rating": ...}, "missing_required_parameter", "rating"),
    (FEEDBACK, {"comment": "x" * 2_001}, "invalid_value", "comment"),
    (FEEDBACK, {"user": "eve"}, "unknown_parameter", "user"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "change", "code", "param"), WRONG_FIELDS)
async def test_a_wrong_field_is_named(path: str, change: dict[str, Any], code: str, param: str) -> None:
    body = {name: value for name, value in {**VALID[path], **change}.items() if value is not ...}
    async with browser(APP) as client:
        check(await client.post(path, json=body), code, param)


@pytest.mark.parametrize("path", VALID)
async def test_the_table_starts_from_what_is_right(path: str) -> None:
    async with browser(APP) as client:
        assert (await client.post(path, json=VALID[path])).status_code < 300
