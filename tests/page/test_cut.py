"""What a client sees when the Ingress that answers it dies: its connection ends in the middle of the answer.

A relay stands where HAProxy does. It ends the connection as HAProxy does then, without the body's last chunk.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

import openai
import pytest
from playwright.sync_api import Browser, expect

from tests.page.chromium import answered, ask, watched
from tests.page.conftest import QUESTION, Site

pytestmark = pytest.mark.browser

BEGUN = b"window"
"""A word in the middle of the answer."""
PATIENCE_S = 10


@contextmanager
def cut_once(url: str, seen: threading.Event | None = None) -> Iterator[str]:
    """The address of a relay to `url` that ends the first connection over which the answer has begun.

    Where `seen` is given it waits for that: a browser forgets what its page has not read when a connection breaks.
    """
    target = urlsplit(url)
    cut = threading.Event()
    ends: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def start(work: Callable[..., None], *arguments: object) -> None:
        threads.append(threading.Thread(target=work, args=arguments))
        threads[-1].start()

    def carry(source: socket.socket, sink: socket.socket, answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                if answer and not cut.is_set() and BEGUN in data:
                    cut.set()
                    if seen:
                        seen.wait(PATIENCE_S)
                    break
        end(source, sink)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((str(target.hostname), int(target.port or 80)))
                ends.extend((client, server))
                start(carry, client, server, False)
                start(carry, server, client, True)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        start(accept, listener)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            end(listener, *ends)
            for thread in threads:
                thread.join()
            for one in ends:
                one.close()


def end(*sockets: socket.socket) -> None:
    """End these connections, both ways."""
    for one in sockets:
        with suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)


def test_the_page_says_that_the_connection_broke_and_keeps_the_text(browser: Browser, site: Site) -> None:
    seen = threading.Event()
    with cut_once(site.url, seen) as url, watched(browser, url) as desk:
        ask(desk.page, QUESTION)
        text = desk.page.locator(".body")
        expect(text).to_contain_text("The controller adds a replica")
        seen.set()
        expect(desk.page.get_by_role("alert")).to_contain_text("The connection broke before the answer was complete.")
        expect(text).to_contain_text("The controller adds a replica")
        (told,) = desk.wrong
        assert "ERR_INCOMPLETE_CHUNKED_ENCODING" in told
        desk.wrong.clear()
        desk.page.get_by_role("button", name="Try again").click()
        answered(desk.page)


def test_the_official_client_raises_a_connection_error(start: Callable[..., Site]) -> None:
    with cut_once(start().url) as url, openai.OpenAI(base_url=f"{url}v1", api_key="none", max_retries=0) as client:
        asked = [{"role": "user", "content": QUESTION}]
        chunks = client.chat.completions.create(model="quote", messages=asked, stream=True)
        begun = []

        def read() -> None:
            for chunk in chunks:
                begun.append(chunk.choices[0].delta.content or "")

        with pytest.raises(openai.APIConnectionError):
            read()
        assert "controller" in "".join(begun)
