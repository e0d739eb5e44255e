"""The page and the API's reference: right types, a strict policy, no other host, nothing else of the disk."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from jinja2 import Environment, Template

from app.page_routes import PAGE, TYPES, assets
from app.reference import template
from tests.app.world import browser, fake_services

LINKS = {"src", "href", "action", "data", "poster"}


class Links(HTMLParser):
    """Every address a page loads or leads to, and whether it carries script or style of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.found += [value for name, value in attrs if name in LINKS and value]
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        if tag == "style" or (tag == "script" and "src" not in given):
            self.inline.append(tag)


@pytest.mark.parametrize("path", ["/", "/reviews", "/docs"])
async def test_a_page_stands_on_its_own(path: str) -> None:
    async with browser(fake_services()) as client:
        response = await client.get(path)
        links = Links()
        links.feed(response.text)
        assert links.inline == []
        own = {link.partition("#")[0] for link in links.found if not link.startswith("#")}
        assert not [link for link in own if re.match(r"(\w+:)?//", link)]
        assert {(await client.get(f"/{link.removeprefix('./')}")).status_code for link in own} == {200}
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'self';")
    assert "unsafe" not in policy


async def test_files_have_their_types_and_are_asked_for_again() -> None:
    async with browser(fake_services()) as client:
        for asset in assets():
            response = await client.get(asset.path)
            assert response.status_code == 200
            assert response.headers["content-type"] == asset.type
            assert response.headers["x-content-type-options"] == "nosniff"
            assert response.headers["cache-control"] == "no-cache"
            known = await client.get(asset.path, headers={"If-None-Match": response.headers["etag"]})
            assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/page",
        "/page/",
        "/page/reviews.html",
        "/reviews.html",
        "/page/../application.py",
        "/page/%2e%2e/keys.py",
        "/application.py",
    ],
)
async def test_nothing_else_is_served(path: str) -> None:
    async with browser(fake_services()) as client:
        assert (await client.get(path)).status_code == 404


def test_every_file_of_the_page_is_served() -> None:
    assert {file.suffix for file in PAGE.rglob("*") if file.is_file()} <= TYPES.keys()
    assert "/" in {asset.path for asset in assets()}


def test_no_page_directory_means_no_page(tmp_path: Path) -> None:
    assert assets(tmp_path) == []


async def test_the_reference_tells_every_route_and_shape() -> None:
    async with browser(fake_services()) as client:
        page = (await client.get("/docs")).text
        api = (await client.get("/openapi.json")).json()
    for path in api["paths"]:
        assert f"<code>{path}</code>" in page
    for name in api["components"]["schemas"]:
        assert f'id="{name}"' in page
    assert set(re.findall(r'href="#(\w+)"', page)) <= set(re.findall(r'id="(\w+)"', page))


async def test_the_reference_is_rendered_once_and_names_the_address_of_each_reader(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, rendered, compiled = [], Template.render, Environment.from_string

    def render(self: Template, *args: Any, **fields: Any) -> str:
        made.append("rendered")
        return rendered(self, *args, **fields)

    def compile(self: Environment, *args: Any, **fields: Any) -> Template:
        made.append("compiled")
        return compiled(self, *args, **fields)

    monkeypatch.setattr(Template, "render", render)
    monkeypatch.setattr(Environment, "from_string", compile)
    template.cache_clear()
    for _ in range(2):
        async with browser(fake_services()) as client:
            pages = [(await client.get("/docs", headers={"Host": f"{name}.test"})).text for name in ("a", "b", "a")]
    assert made == ["compiled", "rendered", "rendered"]
    assert [page.count("http://a.test/v1/chat") for page in pages] == [1, 0, 1]
    assert [page.replace("http://b.test/", "http://a.test/") for page in pages] == [pages[0]] * 3
