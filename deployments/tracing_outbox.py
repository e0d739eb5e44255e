"""Observations on their way from a stage to the SDK: what they hold is masked here, in a thread of its own."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Full, Queue
from typing import Any

from opentelemetry.trace import Span

from deployments.tracing_content import Content, arranged, gen_ai
from rag.stages import Kind

logger = logging.getLogger(__name__)

QUEUE_SPANS = 8_192
"""Observations that may wait for the mask, and again for the upload. The SDK's 2,048 overflowed at 3,000 a second."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An observation whose stage is done, at `at` nanoseconds; what it holds is not masked yet."""

    raw: Any
    span: Span
    kind: Kind
    input: Any
    output: Any
    fields: Mapping[str, Any]
    at: int

    def send(self, content: Content) -> None:
        """Mask what it holds and hand it to the SDK; where that fails, its times are still sent."""
        try:
            self.raw.update(
                input=content.of(self.input),
                output=content.of(self.output),
                **arranged(self.kind, self.fields, content),
            )
            self.span.set_attributes(gen_ai(self.kind, self.fields))
        finally:
            self.raw.end(end_time=self.at)


class Outbox:
    """Masks and sends in a thread of its own: a mask takes about a millisecond for a page, too long for a request."""

    def __init__(self, content: Content, last: Callable[[], None]) -> None:
        """`last` runs in the thread after everything was sent, when the outbox is closed."""
        self._content = content
        self._last = last
        self._waiting: Queue[Ended | None] = Queue(QUEUE_SPANS)
        self._done = threading.Event()
        self._warned = False
        threading.Thread(target=self._work, name="langfuse-outbox", daemon=True).start()

    def put(self, ended: Ended) -> None:
        """Take an observation. Where too many wait, only its name, type and times are sent; the first one is logged."""
        try:
            self._waiting.put_nowait(ended)
        except Full:
            if not self._warned:
                self._warned = True
                logger.warning(
                    "%d observations wait to be masked; what further ones hold is dropped", self._waiting.maxsize
                )
            ended.raw.end(end_time=ended.at)

    def close(self, timeout_s: float) -> bool:
        """Send what waits; False when that took longer than `timeout_s` seconds."""
        limit = time.monotonic() + timeout_s
        try:
            self._waiting.put(None, timeout=timeout_s)
        except Full:
            return False
        return self._done.wait(max(0.0, limit - time.monotonic()))

    def _work(self) -> None:
        while (ended := self._waiting.get()) is not None:
            try:
                ended.send(self._content)
            except Exception:
                logger.exception("the contents of an observation could not be sent")
        self._last()
        self._done.set()
