"""Every way we know to ask wrongly: each is a 4xx that names the field, in OpenAI's envelope, and tells no more."""

import io
import json
import zipfile
import zlib
from functools import partial
from typing import Any

import pytest
from pypdf import PdfWriter

from app.application import create_app
from app.services import HttpConfig
from rag.read import ReadConfig, read_documents
from tests.app.world import MODEL, browser, fake_services

CHAT, SEARCH, EMBED, DOCUMENTS, FEEDBACK = (
    f"/v1/{name}" for name in ("chat/completions", "search", "embeddings", "documents", "feedback")
)
USER = {"role": "user", "content": "Why?"}
VALID: dict[str, dict[str, Any]] = {
    CHAT: {"model": MODEL, "messages": [USER]},
    SEARCH: {"query": "why"},
    EMBED: {"model": "fake-embedder", "input": "why"},
    DOCUMENTS: {"documents": [{"id": "a", "text": "because"}]},
    FEEDBACK: {"trace_id": "0" * 32, "rating": "up"},
}
CONFIG = HttpConfig(max_message_chars=1_000, max_messages=4, max_document_chars=2_000, max_body_bytes=100_000)
APP = create_app(fake_services(CONFIG))


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
    (CHAT, {"service_tier": "scale"}, "invalid_value", "service_tier"),
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

MALFORMED: list[tuple[bytes, str]] = [
    (b"", "missing_required_parameter"),
    (b"{", "invalid_json"),
    (b"{'a': 1}", "invalid_json"),
    (b'{"a": 1,}', "invalid_json"),
    (b"not json", "invalid_json"),
    (b"null", "missing_required_parameter"),
    (b"[]", "invalid_type"),
    (b'"x"', "invalid_type"),
    (b"[" * 50_000, "invalid_request"),
    (b"\xff\xfe\x00", "invalid_request"),
    (b'{"a": ' + b"1" * 5_000 + b"}", "invalid_request"),
]


def check(response: Any, code: str, param: str | None) -> None:
    """The envelope says what is wrong, and nothing of the inside."""
    assert 400 <= response.status_code < 500
    error = response.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert (error["code"], error["param"]) == (code, param)
    assert error["message"]
    for secret in ("/work", "/usr", "/tmp", "site-packages", "Traceback", ".py", "pydantic", "0x"):
        assert secret not in response.text


@pytest.mark.parametrize(("path", "change", "code", "param"), WRONG_FIELDS)
async def test_a_wrong_field_is_named(path: str, change: dict[str, Any], code: str, param: str) -> None:
    body = {name: value for name, value in {**VALID[path], **change}.items() if value is not ...}
    async with browser(APP) as client:
        check(await client.post(path, json=body), code, param)


@pytest.mark.parametrize("path", VALID)
async def test_the_table_starts_from_what_is_right(path: str) -> None:
    async with browser(APP) as client:
        assert (await client.post(path, json=VALID[path])).status_code < 300


@pytest.mark.parametrize("path", VALID)
@pytest.mark.parametrize(("body", "code"), MALFORMED)
async def test_a_body_that_is_no_object(path: str, body: bytes, code: str) -> None:
    async with browser(APP) as client:
        response = await client.post(path, content=body, headers={"Content-Type": "application/json"})
    # This route reads its body itself, and knows no difference between none and an empty one.
    own = {b"": "invalid_json", b"null": "invalid_type"} if path == DOCUMENTS else {}
    check(response, own.get(body, code), None)


@pytest.mark.parametrize(
    ("field", "value"),
    [*((f, v) for f in ("temperature", "max_tokens") for v in ("NaN", "-Infinity", "1e999")), ("user", '"\\ud800"')],
)
async def test_numbers_and_strings_that_json_should_not_hold(field: str, value: str) -> None:
    body = json.dumps(VALID[CHAT])[:-1] + f', "{field}": {value}}}'
    async with browser(APP) as client:
        response = await client.post(CHAT, content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == field


@pytest.mark.parametrize("path", VALID)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml"])
async def test_a_body_of_another_type(path: str, kind: str) -> None:
    async with browser(APP) as client:
        response = await client.post(path, content=json.dumps(VALID[path]), headers={"Content-Type": kind})
    assert response.status_code == 415
    check(response, "unsupported_media_type", None)


@pytest.mark.parametrize("id", ["nothing", "a/b/c", "..%2F..%2Fetc%2Fpasswd", "%00", "x" * 600])
async def test_an_unknown_document(id: str) -> None:
    async with browser(APP) as client:
        response = await client.delete(f"/v1/documents/{id}")
    wrong = id in ("%00", "x" * 600)
    check(response, "invalid_value" if wrong else "document_not_found", "id")
    assert response.status_code == (400 if wrong else 404)


def pdf(encrypted: bool = False) -> bytes:
    writer, out = PdfWriter(), io.BytesIO()
    writer.add_blank_page(72, 72)
    if encrypted:
        writer.encrypt("secret", algorithm="RC4-128")
    writer.write(out)
    return out.getvalue()


def zip_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.txt", b"0" * 10_000_000)
    return out.getvalue()


def pdf_bomb() -> bytes:
    """A page whose content unpacks to 200 MB."""
    deflate = zlib.compressobj(9)
    packed = b"".join(deflate.compress(b"0" * 1_000_000) for _ in range(200)) + deflate.flush()
    packed = zlib.compress(packed, 9)
    head = b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    page = b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]/Contents 4 0 R>>endobj\n"
    stream = b"4 0 obj<</Filter[/FlateDecode/FlateDecode]/Length %d>>stream\n" % len(packed)
    return head + page + stream + packed + b"\nendstream endobj\ntrailer<</Root 1 0 R>>\n%%EOF"


FILES: list[tuple[str, bytes, int, str]] = [
    ("program.exe", b"MZ", 415, "unsupported_media_type"),
    ("noextension", b"text", 415, "unsupported_media_type"),
    ("page.docx", b"PK", 400, "unreadable_document"),
    ("bomb.txt", zip_bomb(), 400, "unreadable_document"),
    ("bomb.zip", zip_bomb(), 415, "unsupported_media_type"),
    ("really.md", pdf(), 400, "unreadable_document"),
    ("really.pdf", b"plain text", 400, "unreadable_document"),
    ("broken.pdf", b"%PDF-1.7 nothing more", 400, "unreadable_document"),
    ("cut.pdf", pdf()[:200], 400, "unreadable_document"),
    ("locked.pdf", pdf(encrypted=True), 400, "unreadable_document"),
    ("blank.pdf", pdf(), 400, "unreadable_document"),
    ("empty.txt", b"", 400, "unreadable_document"),
    ("binary.txt", b"\x00\x01\x02" * 99, 400, "unreadable_document"),
    ("image.txt", b"\x89PNG\r\n\x1a\n", 400, "unreadable_document"),
    ("blank.html", b"<html><body></body></html>", 400, "unreadable_document"),
    ("long.txt", b"word " * 1_000, 413, "too_large"),
]


@pytest.mark.parametrize(("name", "data", "status", "code"), FILES, ids=[file[0] for file in FILES])
async def test_a_file_that_cannot_be_read(name: str, data: bytes, status: int, code: str) -> None:
    limits = ReadConfig(max_chars=CONFIG.max_document_chars)
    services = fake_services(CONFIG, read=partial(read_documents, limits=limits))
    async with browser(services) as client:
        response = await client.post(DOCUMENTS, files={"files": (name, data)})
    check(response, code, "files[0]")
    assert response.status_code == status


async def test_a_pdf_that_unpacks_to_200_mb() -> None:
    config = HttpConfig()
    services = fake_services(config, read=partial(read_documents, limits=ReadConfig()))
    async with browser(services) as client:
        response = await client.post(DOCUMENTS, files={"files": ("bomb.pdf", pdf_bomb())})
    assert response.status_code in (400, 413)
    check(response, response.json()["error"]["code"], "files[0]")


async def test_50_mb_of_text() -> None:
    async with browser(fake_services()) as client:
        response = await client.post(DOCUMENTS, files={"files": ("big.txt", b"word " * 10_000_000)})
    assert response.status_code == 413
    check(response, "too_large", None)


@pytest.mark.parametrize("name", [" a.txt", "x" * 600 + ".txt"])
async def test_a_file_name_that_cannot_be_an_id(name: str) -> None:
    async with browser(fake_services()) as client:
        check(await client.post(DOCUMENTS, files={"files": (name, b"text")}), "invalid_value", "files[0]")


async def test_a_form_with_other_fields_or_none() -> None:
    async with browser(fake_services()) as client:
        other = await client.post(DOCUMENTS, files={"attachment": ("a.txt", b"text")})
        field = await client.post(DOCUMENTS, data={"title": "x"}, files={"files": ("a.txt", b"text")})
        twice = await client.post(DOCUMENTS, files=[("files", ("a.txt", b"1")), ("files", ("a.txt", b"2"))])
        many = await client.post(DOCUMENTS, files=[("files", (f"{n}.txt", b"x")) for n in range(257)])
        broken = await client.post(DOCUMENTS, content=b"x", headers={"Content-Type": "multipart/form-data"})
    check(other, "invalid_value", "attachment")
    check(field, "invalid_value", "title")
    check(twice, "invalid_value", "files[1]")
    check(many, "invalid_request", None)
    check(broken, "invalid_request", None)
