"""The project's own log lines, in the file where Serve keeps those of a replica.

Serve gives a handler to its own logger only; what other loggers say ends on the worker's stderr, without time or name.
"""

import logging

SERVE = "ray.serve"
OURS = ("raglan", "guardrails", "rag", "deployments")


class ToServe(logging.Handler):
    """Hands each record to Serve's logger."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger(SERVE).handle(record)


def log_to_serve() -> None:
    """Let our loggers write where Serve's logger does, at its level. Once more changes nothing."""
    for name in OURS:
        logger = logging.getLogger(name)
        logger.setLevel(logging.getLogger(SERVE).level)
        if not any(isinstance(handler, ToServe) for handler in logger.handlers):
            logger.addHandler(ToServe())
