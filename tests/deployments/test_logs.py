import logging
from collections.abc import Iterator

import pytest

from deployments.logs import OURS, SERVE, ToServe, log_to_serve


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.name} {record.levelname} {record.getMessage()}")


@pytest.fixture
def kept() -> Iterator[Kept]:
    serve, kept = logging.getLogger(SERVE), Kept()
    before = {name: logging.getLogger(name).level for name in (SERVE, *OURS)}
    serve.addHandler(kept)
    yield kept
    serve.removeHandler(kept)
    for name, level in before.items():
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.handlers = [handler for handler in logger.handlers if not isinstance(handler, ToServe)]


def test_what_we_log_is_written_once_by_serves_logger_at_its_level(kept: Kept) -> None:
    logging.getLogger(SERVE).setLevel(logging.WARNING)
    log_to_serve()
    log_to_serve()
    for name in ("guardrails.policy_book", "raglan.app", "rag.ingest", "deployments.tracing_outbox"):
        logging.getLogger(name).error("refused: %s", "a field")
        logging.getLogger(name).info("too little to say")
    assert kept.lines == [
        "guardrails.policy_book ERROR refused: a field",
        "raglan.app ERROR refused: a field",
        "rag.ingest ERROR refused: a field",
        "deployments.tracing_outbox ERROR refused: a field",
    ]
