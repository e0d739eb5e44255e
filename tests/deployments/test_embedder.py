"""What may be changed of a running Embedder, and whose vectors a shared pass gives."""

import asyncio
from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from ray import serve

from deployments.embedder import Embedder
from deployments.tracing import TracingConfig, make_tracer
from guardrails.mask import mask
from rag.types import Embedded


def made() -> Embedder:
    """An Embedder without weights."""
    embedder = object.__new__(Embedder)
    embedder.tracer = make_tracer(TracingConfig(), mask)
    return embedder


@pytest.mark.parametrize(
    "wrong", [{"max_batch_size": 0}, {"max_batch_size": "many"}, {"batch_wait_timeout_s": -1}, {"size": 4}]
)
async def test_a_wrong_user_config_is_told_and_changes_nothing(
    wrong: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    embedder = made()
    embedder.reconfigure({"max_batch_size": 4})
    embedder.reconfigure(wrong)
    assert (embedder.encode._get_max_batch_size(), embedder.encode._get_batch_wait_timeout_s()) == (4, 0.0)
    assert "user_config of the Embedder" in caplog.text


async def test_each_caller_of_a_shared_pass_gets_its_own_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    room = SimpleNamespace(_deployment_config=SimpleNamespace(max_ongoing_requests=4))
    monkeypatch.setattr(serve, "get_replica_context", lambda: room)
    passes: list[list[str]] = []

    def questions(texts: Sequence[str]) -> list[Embedded]:
        passes.append(list(texts))
        return [Embedded(text, np.full(2, len(text), np.float32)) for text in texts]

    embedder = made()
    embedder.model = SimpleNamespace(questions=questions, dimensions=2)
    embedder.reconfigure({"max_batch_size": 4, "batch_wait_timeout_s": 60})
    asked = [["a"], ["bb", "ccc"], []]
    *found, vectors = await asyncio.gather(
        *(embedder.embed_questions(texts, {}) for texts in asked), embedder.embed(["dddd", "eeeee"], {})
    )
    assert passes == [["a", "bb", "ccc", "dddd", "eeeee"]]
    assert [[one.text for one in questions] for questions in found] == asked
    assert vectors.tolist() == [[4, 4], [5, 5]]
