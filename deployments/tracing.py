"""Tracing: its configuration, the tracer a process gets for it, and the one that does nothing.

What talks to Langfuse stands in `tracing_langfuse.py` and is imported only where keys are configured.
"""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from rag.stages import Kind

if TYPE_CHECKING:
    from deployments.tracing_langfuse import LangfuseTracer


class TracingConfig(BaseModel):
    """Where traces go and what they hold. Without keys nothing is sent."""

    model_config = ConfigDict(extra="forbid", frozen=True, regex_engine="python-re")

    host: str = Field(
        "https://cloud.langfuse.com", pattern=r"^https?://[^/\s]", description="The Langfuse server's URL."
    )
    public_key: str = Field("", description="The project's public key (pk-lf-...); empty: tracing is off.")
    secret_key: SecretStr = Field(SecretStr(""), description="The project's secret key (sk-lf-...).")
    environment: str = Field(
        "default",
        pattern=r"^(?!langfuse)[a-z0-9_-]+$",
        max_length=40,
        description="Langfuse environment of every observation, such as production.",
    )
    release: str = Field("dev", min_length=1, max_length=200, description="Release of every observation.")
    sample_rate: float = Field(1.0, ge=0, le=1, description="Share of requests that are traced, decided by trace id.")
    timeout_s: int = Field(5, ge=1, le=60, description="Longest time one upload may take, in seconds.")
    flush_s: float = Field(2.0, gt=0, le=60, description="Seconds between uploads when little happens.")
    capture_content: bool = Field(True, description="Send texts, masked; off: only their sizes.")
    max_chars: int = Field(10_000, ge=100, description="Most characters of one input or output that are sent.")

    @model_validator(mode="after")
    def _keys_go_together(self) -> Self:
        if bool(self.public_key) != bool(self.secret_key.get_secret_value()):
            raise ValueError("public_key and secret_key go together: set both, or neither")
        return self

    @property
    def enabled(self) -> bool:
        """Whether traces are sent."""
        return bool(self.public_key and self.secret_key.get_secret_value())


@dataclass(frozen=True, slots=True)
class NoObservation:
    """An observation that is not recorded."""

    @property
    def carrier(self) -> dict[str, str]:
        """What to put into handle calls: nothing."""
        return {}

    def end(self, output: Any = None, **fields: Any) -> None:
        """Do nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        return None


@dataclass(frozen=True, slots=True)
class NoTrace:
    """A trace that is not recorded; its `id` still names the request in responses and feedback."""

    id: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def carrier(self) -> dict[str, str]:
        """What to put into handle calls: nothing."""
        return {}

    def start(self, name: str, kind: Kind, input: Any = None, **fields: Any) -> NoObservation:
        """Return an observation that is not recorded."""
        return NoObservation()

    def end(self, output: Any = None, **fields: Any) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class NoTracer:
    """Tracing switched off: no network, no threads, no Langfuse import."""

    def start(
        self, name: str, input: Any, user: str | None, session: str | None, metadata: Mapping[str, str]
    ) -> NoTrace:
        """Return a trace that is not recorded, with a fresh id."""
        return NoTrace()

    def observe(
        self, carrier: Mapping[str, str], name: str, kind: Kind, input: Any = None, **fields: Any
    ) -> NoObservation:
        """Return an observation that is not recorded."""
        return NoObservation()

    def close(self, timeout_s: float = 2.0) -> None:
        """Do nothing."""


def make_tracer(config: TracingConfig, mask: Callable[[str], str]) -> "LangfuseTracer | NoTracer":
    """Return this process's tracer; no network is touched here.

    `mask` sees every text before it becomes part of an observation; what it returns is what is sent.
    """
    if not config.enabled:
        return NoTracer()
    from deployments.tracing_langfuse import LangfuseTracer

    return LangfuseTracer(config, mask)
