"""A chat request's place among those under way: taken once the body is known to be right, left when the response ended.

The dependency leaves it however the request ends: answered, failed, or hung up on.
"""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from rag.admission import Admission
from rag.answer import Begin, Event
from rag.line import Place
from rag.types import RequestSettings


@dataclass(slots=True)
class Entry:
    """One request's way in."""

    admission: Admission
    place: Place | None = None

    def take(self, model: str) -> None:
        """Raises Overloaded when the first text would be late."""
        self.place = self.admission.enter(model)

    async def wait(self, model: str) -> None:
        """Take a batch request's place when there is room. Raises Overloaded when it takes too long."""
        self.place = await self.admission.wait(model)

    def note(self, event: Event, settings: RequestSettings) -> None:
        """Let the first text of an answer in prose tell the wait: JSON may leave as a whole, a refusal early."""
        if self.place and isinstance(event, Begin) and "llm_ttft" in event.timings and not settings.schema:
            self.place.answered()

    def leave(self) -> None:
        if self.place:
            self.place.leave()


async def entry(request: Request) -> AsyncGenerator[Entry]:
    """The request's entry; FastAPI resumes this when the response has been sent, or is not to be."""
    made = Entry(request.app.state.services.admission)
    try:
        yield made
    finally:
        made.leave()


Admitted = Annotated[Entry, Depends(entry)]
