"""How a Retriever follows the promoted index version."""

import asyncio

import pytest

from deployments.retriever import Retriever
from deployments.tracing import TracingConfig, make_tracer
from guardrails.mask import mask
from rag.errors import NotFound


async def test_a_version_that_cannot_be_taken_up_is_logged_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    looked = asyncio.Event()

    class Store:
        version = "1"
        tries = 0

        async def follow(self) -> bool:
            self.tries += 1
            if self.tries == 1:
                raise NotFound("no manifest")
            if self.tries > 2:
                looked.set()
                await asyncio.Event().wait()
            return True

    retriever = object.__new__(Retriever)
    retriever.tracer = make_tracer(TracingConfig(), mask)
    retriever.store = Store()  # type: ignore[assignment]
    following = asyncio.create_task(retriever._follow(0))
    with caplog.at_level("INFO"):
        await asyncio.wait_for(looked.wait(), 5)
    following.cancel()
    assert [record.getMessage().partition(" ")[0] for record in caplog.records] == ["The", "Index"]
    assert "no manifest" in caplog.text
