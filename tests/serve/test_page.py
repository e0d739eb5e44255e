"""The chat page against the real application, in a real browser."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.page.chromium import answered, ask, chromium, watched
from tests.serve.conftest import Running
from tests.serve.test_chat import QUESTION

pytestmark = [pytest.mark.ray, pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as opened:
        yield opened


def test_a_question_is_answered_and_its_citation_opens_the_passage(raglan: Running, browser: Browser) -> None:
    with watched(browser, raglan.url) as desk:
        desk.page.set_default_timeout(60_000)
        ask(desk.page, QUESTION)
        expect(desk.page.locator(".timings")).to_have_count(1, timeout=60_000)
        answered(desk.page)
        desk.page.get_by_role("button", name=re.compile("^Source 1")).first.click()
        desk.shoot("real-application")
        expect(desk.page.get_by_text("embedded").first).to_be_visible()
