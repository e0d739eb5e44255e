"""Bodies that are no object of JSON, or hold what JSON should not: each is a 4xx that tells nothing of the inside."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from app import errors
from app.validation import Problem, describe
from tests.app.refusals import APP, CHAT, DOCUMENTS, EMBED, FEEDBACK, SEARCH, USER, VALID, check
from tests.app.world import browser

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


@pytest.mark.parametrize("field", ["content", "refusal"])
async def test_half_a_surrogate_pair_in_what_the_model_said(field: str) -> None:
    said = {"role": "assistant", "content": "a", field: "a\ud800"}
    body = json.dumps({**VALID[CHAT], "messages": [said, USER]})
    async with browser(APP) as client:
        response = await client.post(CHAT, content=body, headers={"Content-Type": "application/json"})
    check(response, "invalid_value", f"messages[0].{field}")


@pytest.mark.parametrize("path", VALID)
@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/xml"])
async def test_a_body_of_another_type(path: str, kind: str) -> None:
    async with browser(APP) as client:
        response = await client.post(path, content=json.dumps(VALID[path]), headers={"Content-Type": kind})
    assert response.status_code == 415
    check(response, "unsupported_media_type", None)


ONES, FIELDS = [1] * 5_000, {f"x{n}": 1 for n in range(2_000)}
SAID = {"role": "assistant", "content": "a"}


def filtered(narrowed: dict[str, Any]) -> dict[str, Any]:
    return {"raglan": {"filter": narrowed}}


def message(**fields: Any) -> dict[str, Any]:
    return {"messages": [{**USER, **fields}]}


def document(**fields: Any) -> dict[str, Any]:
    return {"documents": [{"text": "because", **fields}]}


@pytest.mark.parametrize(
    ("path", "change", "param"),
    [
        (CHAT, FIELDS, "x0"),
        (CHAT, {"messages": ONES}, "messages[0]"),
        (CHAT, {"messages": [USER] * 1_001}, "messages"),
        (CHAT, message(**FIELDS), "messages[0].x0"),
        (CHAT, message(content=ONES), "messages[0].content[0]"),
        (CHAT, message(content=[{"type": "text", "text": "x", **FIELDS}]), "messages[0].content[0].x0"),
        (CHAT, {"messages": [{**SAID, "annotations": ONES}, USER]}, "messages[0].annotations[0]"),
        (CHAT, {"stop": ONES}, "stop[0]"),
        (CHAT, {"stream_options": FIELDS}, "stream_options.x0"),
        (CHAT, {"response_format": {"type": "text", **FIELDS}}, "response_format.x0"),
        (CHAT, {"response_format": {"type": "json_schema", "json_schema": FIELDS}}, "response_format.json_schema.x0"),
        (CHAT, {"raglan": FIELDS}, "raglan.x0"),
        (CHAT, filtered(FIELDS), "raglan.filter.x0"),
        (CHAT, filtered({"source": ONES}), "raglan.filter.source[0]"),
        (CHAT, filtered({"date": FIELDS}), "raglan.filter.date.x0"),
        (SEARCH, FIELDS, "x0"),
        (EMBED, FIELDS, "x0"),
        (EMBED, {"input": ONES}, "input[0]"),
        (EMBED, {"input": [ONES] * 5}, "input[0]"),
        (DOCUMENTS, FIELDS, "x0"),
        (DOCUMENTS, {"documents": ONES}, "documents[0]"),
        (DOCUMENTS, document(**FIELDS), "documents[0].x0"),
        (DOCUMENTS, document(metadata=FIELDS), "documents[0].metadata.x0"),
        (DOCUMENTS, document(groups=ONES), "documents[0].groups"),
        (FEEDBACK, FIELDS, "x0"),
    ],
)
async def test_a_body_full_of_mistakes_costs_no_more_than_one(
    path: str, change: dict[str, Any], param: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[int] = []

    def count(problems: Sequence[Mapping[str, Any]], body: Any) -> Problem:
        counted.append(len(problems))
        return describe(problems, body)

    monkeypatch.setattr(errors, "describe", count)
    async with browser(APP) as client:
        response = await client.post(path, json={**VALID[path], **change})
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)
    assert max(counted) <= 3
