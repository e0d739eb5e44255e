"""Bodies that are no object of JSON, or hold what JSON should not: each is a 4xx that tells nothing of the inside."""

import json

import pytest

from tests.app.refusals import APP, CHAT, DOCUMENTS, USER, VALID, check
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
