"""What may be changed of a running Embedder."""

import pytest

from deployments.embedder import Embedder
from deployments.tracing import TracingConfig, make_tracer
from guardrails.mask import mask


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
