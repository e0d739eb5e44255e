"""How the chat page looks: on a phone, in the dark, and whether it can be read."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.page.chromium import answered, ask, watched
from tests.page.conftest import QUESTION, Site, Typist

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 360, "height": 740}, "device_scale_factor": 2, "has_touch": True, "is_mobile": True}
CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const probe = document.body.appendChild(document.createElement("i"));
  const luminance = (token) => {
    probe.style.color = `var(--${token})`;
    canvas.fillStyle = getComputedStyle(probe).color;
    canvas.fillRect(0, 0, 1, 1);
    const linear = (c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].map((c) => linear(c / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ratio = (a, b) => { const [x, y] = [luminance(a), luminance(b)].sort(); return (y + 0.05) / (x + 0.05); };
  const grounds = ["paper", "raised", "sunken"];
  const pairs = ["ink", "soft", "accent", "wrong"].flatMap((ink) => grounds.map((ground) => [ink, ground]));
  pairs.push(["ink", "mark"], ["accent", "tint"], ["on-accent", "accent"]);
  return pairs.map(([a, b]) => [`${a} on ${b}`, ratio(a, b)]);
}"""
"""The contrast ratio of every pair of colours that text is set in, by WCAG 2.1's formula."""


def overflow(page: Page) -> int:
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def test_a_phone_needs_no_sideways_scrolling(browser: Browser, start: Callable[..., Site]) -> None:
    long = "Donaudampfschifffahrtsgesellschaftskapitän" * 3
    reply = f"It adds one when the load lasts. [1] See `{long}` and {long}.\n\n```\n{long}\n```\n\n- {long}"
    site = start(Typist(reply=reply))
    with watched(browser, site.url, **PHONE) as phone:
        page = phone.page
        expect(page.get_by_label("Model")).to_be_visible()
        assert overflow(page) <= 0
        phone.shoot("phone-welcome")
        ask(page, f"When does the autoscaler add a replica? {long}")
        answered(page)
        page.locator(".timings summary").tap()
        page.get_by_role("button", name="Bad answer").tap()
        expect(page.get_by_label("What was wrong?")).to_be_visible()
        assert overflow(page) <= 0
        page.locator("button.cite").first.tap()
        sheet = page.get_by_role("dialog").bounding_box()
        assert sheet is not None
        assert (round(sheet["x"]), round(sheet["width"]), round(sheet["y"] + sheet["height"])) == (0, 360, 740)
        page.touchscreen.tap(180, 20)
        expect(page.get_by_role("dialog")).to_have_count(0)


def test_a_phone_looks_right(browser: Browser, site: Site) -> None:
    with watched(browser, site.url, **PHONE) as phone:
        ask(phone.page, QUESTION)
        answered(phone.page)
        phone.shoot("phone-answer")
        phone.page.locator("button.cite").first.tap()
        expect(phone.page.get_by_role("dialog")).to_be_visible()
        phone.shoot("phone-passage")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_schemes(browser: Browser, site: Site, scheme: str) -> None:
    with watched(browser, site.url, color_scheme=scheme) as desk:
        low = [(pair, round(ratio, 2)) for pair, ratio in desk.page.evaluate(CONTRAST) if ratio < 4.5]
        assert low == []


def brightness(color: str) -> float:
    """Of `rgb(r, g, b)`, 0 to 255."""
    return sum(map(int, color[4:-1].split(","))) / 3


def test_dark_follows_the_system_and_the_toggle_is_kept(browser: Browser, site: Site) -> None:
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    with watched(browser, site.url, color_scheme="dark") as desk:
        page = desk.page
        dark = page.evaluate(ground)
        desk.shoot("dark-welcome")
        ask(page, QUESTION)
        answered(page)
        page.locator("button.cite").first.click()
        desk.shoot("dark-passage")
        page.get_by_role("button", name="Switch between light and dark").click()
        light = page.evaluate(ground)
        assert brightness(dark) < 60
        assert brightness(light) > 200
        page.reload()
        assert page.evaluate(ground) == light
