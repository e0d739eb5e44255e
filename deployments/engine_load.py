"""How much an engine has to do, from vLLM's own figures: the settings, the listener, and the number it comes to."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

MOST = 2.0
"""A replica says at most this, so that one decision at most doubles the replicas."""


class ScalingConfig(BaseModel):
    """When a model gets another replica, and whether it may have none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    waiting: int = Field(
        8, ge=1, description="Requests that may wait in one replica's engine; more ask for another replica."
    )
    kv_cache: float = Field(
        0.8, gt=0, le=1, description="Share of a replica's KV cache in use over which another replica is wanted."
    )
    to_zero: bool = Field(
        False, description="Whether an idle model may have no replica; `min_replicas: 0` then takes effect."
    )
    wake_s: float = Field(
        90, gt=0, description="Longest wait of a request for the first replica of a model without one, in seconds."
    )


@dataclass(frozen=True, slots=True)
class Figures:
    """One moment of an engine: requests that run and that wait, and the share of its KV cache in use."""

    running: int = 0
    waiting: int = 0
    kv_cache: float = 0.0

    def load(self, config: ScalingConfig) -> float:
        """How many replicas' work this is: 1 when as much waits, or as much of the KV cache is in use, as may."""
        queue = self.waiting / config.waiting if self.waiting > config.waiting else 0.0
        return min(MOST, max(queue, self.kv_cache / config.kv_cache))


@dataclass(slots=True)
class Listener:
    """A stat logger of vLLM's that keeps each engine core's last word: the role `StatLoggerBase`, which it never says.

    A core is silent when it has nothing to do, also when the last request was cancelled.
    """

    cores: dict[int, Figures] = field(default_factory=dict)

    def record(
        self, scheduler_stats: Any, iteration_stats: Any, mm_cache_stats: Any = None, engine_idx: int = 0
    ) -> None:
        """Take one step's statistics."""
        if scheduler_stats is not None:
            waiting = scheduler_stats.num_waiting_reqs + scheduler_stats.num_skipped_waiting_reqs
            self.cores[engine_idx] = Figures(
                scheduler_stats.num_running_reqs, waiting, float(scheduler_stats.kv_cache_usage)
            )

    def log(self) -> None: ...

    def log_engine_initialized(self) -> None: ...

    def record_sleep_state(self, is_awake: int, level: int) -> None: ...

    def figures(self) -> Figures:
        """All cores of the replica together: their requests summed, the fullest KV cache."""
        cores = self.cores.values()
        return Figures(
            sum(core.running for core in cores),
            sum(core.waiting for core in cores),
            max((core.kv_cache for core in cores), default=0.0),
        )
