"""What wraps every request: ids, the size of bodies, CORS."""

from collections.abc import AsyncIterator

import pytest

from app.services import HttpConfig
from tests.app.world import browser, fake_services, question

SMALL = HttpConfig(max_body_bytes=1_000)
PATHS = ["/v1/chat/completions", "/v1/documents", "/v1/search"]


FORM = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'


async def chunked(begin: bytes, size: int) -> AsyncIterator[bytes]:
    yield begin
    for _ in range(size):
        yield b" "


@pytest.mark.parametrize("path", PATHS)
async def test_a_declared_body_over_the_limit_is_not_read(path: str) -> None:
    async with browser(fake_services(SMALL)) as client:
        response = await client.post(path, content=b" " * 1_001, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize(
    ("path", "kind", "begin"),
    [*((path, "application/json", b"{") for path in PATHS), ("/v1/documents", "multipart/form-data; boundary=x", FORM)],
)
async def test_a_chunked_body_is_counted_while_it_is_read(path: str, kind: str, begin: bytes) -> None:
    async with browser(fake_services(SMALL)) as client:
        response = await client.post(path, content=chunked(begin, 1_001), headers={"Content-Type": kind})
    assert "content-length" not in response.request.headers
    assert (response.status_code, response.json()["error"]["code"]) == (413, "too_large")


@pytest.mark.parametrize("declared", ["-1", "1e3", "9" * 100, "x"])
async def test_a_nonsense_length_is_refused(declared: str) -> None:
    async with browser(fake_services(SMALL)) as client:
        response = await client.post("/v1/search", content=b"{}", headers={"Content-Length": declared})
    assert response.status_code == (413 if declared.isdecimal() else 400)


@pytest.mark.parametrize(("given", "kept"), [("abc-1.2_3", True), ("", False), ("a b", False), ("x" * 129, False)])
async def test_a_plain_request_id_is_kept(given: str, kept: bool) -> None:
    async with browser(fake_services()) as client:
        response = await client.get("/healthz", headers={"X-Request-Id": given})
    assert (response.headers["x-request-id"] == given) is kept
    assert response.headers["x-request-id"]


async def test_cors_is_off_until_configured() -> None:
    headers = {"Origin": "https://ui.test"}
    async with browser(fake_services()) as client:
        assert "access-control-allow-origin" not in (await client.get("/healthz", headers=headers)).headers
    async with browser(fake_services(HttpConfig(cors_origins=("https://ui.test",)))) as client:
        asked = {**headers, "Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
        preflight = await client.options("/v1/chat/completions", headers=asked)
        answer = await client.post("/v1/chat/completions", json=question(), headers=headers)
        other = await client.get("/healthz", headers={"Origin": "https://evil.test"})
    assert preflight.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "https://ui.test"
    assert "Server-Timing" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(("origin", "let_in"), [("https://ui.test", True), ("https://evil.test", False)])
async def test_a_page_of_a_configured_origin_may_send_what_openais_client_sends(origin: str, let_in: bool) -> None:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization,content-type,x-stainless-lang,x-stainless-retry-count",
    }
    async with browser(fake_services(UI)) as client:
        preflight = await client.options("/v1/chat/completions", headers=asked)
    assert preflight.status_code == (200 if let_in else 400)
    assert preflight.headers.get("access-control-allow-origin") == (origin if let_in else None)
    assert "access-control-allow-credentials" not in preflight.headers
    if let_in:
        assert "x-stainless-retry-count" in preflight.headers["access-control-allow-headers"]


UI = HttpConfig(cors_origins=("https://ui.test",))
CROSS = {"Sec-Fetch-Site": "cross-site"}


@pytest.mark.parametrize(
    ("headers", "let_in"),
    [
        ({}, True),
        *(({"Sec-Fetch-Site": site, "Origin": "http://other.test"}, True) for site in ("same-origin", "same-site")),
        ({"Sec-Fetch-Site": "none"}, True),
        (CROSS, False),
        ({**CROSS, "Origin": "http://raglan.test"}, False),
        ({**CROSS, "Origin": "https://ui.test"}, True),
        ({"Origin": "http://raglan.test"}, True),
        ({"Origin": "http://raglan.test:3000", "Host": "RAGLAN.test:8000"}, True),
        ({"Origin": "https://ui.test"}, True),
        *(({"Origin": origin}, False) for origin in ("https://evil.test", "null", "http://[", "")),
        ({"Origin": "null", "Host": ""}, False),
    ],
)
async def test_a_page_of_another_website_changes_nothing(headers: dict[str, str], let_in: bool) -> None:
    services = fake_services(UI)
    async with browser(services) as client:
        added = await client.post("/v1/documents", files={"files": ("a.txt", b"text")}, headers=headers)
        read = await client.get("/v1/documents", headers=headers)
    assert added.status_code == (201 if let_in else 403)
    assert let_in or added.json()["error"]["code"] == "foreign_origin"
    assert (read.status_code, len(read.json()["data"])) == (200, int(let_in))
