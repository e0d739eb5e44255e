"""Headless Chromium for tests of the chat page, against any running application: fakes or the real one."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, Response, expect, sync_playwright

SCREENSHOTS = Path(__file__).parents[2] / "var" / "screenshots"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
REFUSED = "Failed to load resource: the server responded with a status of"
"""Chromium's own line for every 4xx and 5xx. Those of the page's files are looked for in the responses."""


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser; Debian's, since Playwright's own download needs more than PyPI. Playwright's sync interface leaves a
    running event loop in the thread: close it before any asyncio test."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        raise RuntimeError("No Chromium here: run `apt-get install chromium`.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@dataclass
class Watched:
    """A page at `url`, and everything that went wrong on it."""

    page: Page
    url: str
    wrong: list[str] = field(default_factory=list)

    def console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and not message.text.startswith(REFUSED):
            self.wrong.append(f"console: {message.text}")

    def crashed(self, error: Exception) -> None:
        self.wrong.append(f"error: {error}")

    def requested(self, request: Request) -> None:
        parts = urlsplit(request.url)
        if parts.scheme in ("http", "https") and parts.netloc != urlsplit(self.url).netloc:
            self.wrong.append(f"request to {request.url}")

    def responded(self, response: Response) -> None:
        path = urlsplit(response.url).path
        if response.status >= 400 and not path.startswith("/v1/"):
            self.wrong.append(f"{response.status} for {path}")

    def shoot(self, name: str) -> Path:
        """Keep a screenshot of what can be seen."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.screenshot(path=path)
        return path


@contextmanager
def watched(browser: Browser, url: str, **context: Any) -> Iterator[Watched]:
    """The chat page at `url` in a context of its own; `context` goes to Browser.new_context.

    On leaving, asserts that nothing was logged, thrown or missing, and that no request left the origin.
    """
    options = {"viewport": {"width": 1280, "height": 832}, "color_scheme": "light", "reduced_motion": "reduce"}
    with browser.new_context(**{**options, **context}) as session:
        page = session.new_page()
        page.set_default_timeout(10_000)
        watch = Watched(page, url)
        page.on("console", watch.console)
        page.on("pageerror", watch.crashed)
        page.on("request", watch.requested)
        page.on("response", watch.responded)
        page.goto(url)
        yield watch
        assert watch.wrong == []


def ask(page: Page, question: str) -> None:
    page.get_by_label("Your question").fill(question)
    page.keyboard.press("Enter")


def answered(page: Page, answers: int = 1) -> None:
    """Wait until so many answers are complete."""
    expect(page.locator(".timings")).to_have_count(answers)
