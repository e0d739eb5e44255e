"""The real HTTP application on fakes, on a loopback port, and a browser."""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from playwright.sync_api import Browser

from app.application import create_app
from app.services import HttpConfig, Services
from rag.fakes import FakeLLM
from rag.types import Passage, Piece, Prompt
from tests.app.world import fake_services
from tests.page.chromium import Watched, chromium, watched

PARAGRAPHS = {
    "Autoscaling": """Every deployment scales on its own number of ongoing requests.

The controller adds a replica when the average number of ongoing requests per replica stays above the target for \
longer than upscale_delay_s. It removes one when the average stays below the target for downscale_delay_s, and it \
never goes below min_replicas.

Both delays stand in the Serve YAML. Deploying a changed file applies them without restarting a replica.""",
    "Operating a cluster": """The load is averaged over look_back_period_s, so a single burst changes nothing. \
Watch the queue length before you change the window.""",
}
REPLY = """The controller adds a replica when the average number of ongoing requests per replica stays above the \
target for longer than `upscale_delay_s`. [1] The load is averaged over a window, so **a single burst changes \
nothing**. [2]

Both numbers stand in the Serve YAML:

- `target_ongoing_requests` is what one replica should carry.
- `upscale_delay_s` is how long the load must last. [1]

```yaml
autoscaling_config:
  max_replicas: 8
  target_ongoing_requests: 16
  upscale_delay_s: 5
```"""
QUESTION = "When does the controller add a replica?"


@dataclass
class Typist(FakeLLM):
    """A FakeLLM that takes its time, so that a stream can be seen and stopped."""

    reply: str = REPLY
    pause_s: float = 0.005

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece]:
        async for piece in super().generate(prompt):
            await asyncio.sleep(self.pause_s)
            yield piece


@dataclass
class Site:
    """A running application. `services` holds its fakes."""

    url: str
    services: Services
    llm: Typist = field(default_factory=Typist)


def handbook() -> list[Passage]:
    return [
        Passage(
            id=f"{n}",
            document_id=f"docs/{title.lower().replace(' ', '-')}.md",
            text=text,
            title=title,
            url=f"https://handbook.invalid/{n}",
            headings=(title, "Scaling"),
        )
        for n, (title, text) in enumerate(PARAGRAPHS.items())
    ]


@contextmanager
def serve(services: Services) -> Iterator[str]:
    """Run the application in a thread and yield its address."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config = uvicorn.Config(create_app(services), log_level="warning", ws="none", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        deadline = time.monotonic() + 20
        while not server.started:
            assert thread.is_alive(), "the application did not start"
            assert time.monotonic() < deadline, "the application did not start in time"
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def site(start: Callable[..., Site]) -> Site:
    return start()


@pytest.fixture
def start() -> Iterator[Callable[..., Site]]:
    """A function that starts an application: `start(llm=..., config=..., passages=...)`."""
    with ExitStack() as stack:

        def start(
            llm: Typist | None = None,
            config: HttpConfig | None = None,
            passages: list[Passage] | None = None,
            **more: Any,
        ) -> Site:
            llm = llm or Typist()
            services = fake_services(config, {"llm": llm}, **more)
            for passage in handbook() if passages is None else passages:
                services.library.passages[(passage.tenant, passage.document_id)].append(passage)
            return Site(stack.enter_context(serve(services)), services, llm)

        yield start


@pytest.fixture
def desk(browser: Browser, site: Site) -> Iterator[Watched]:
    with watched(browser, site.url) as desk:
        yield desk
