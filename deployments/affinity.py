"""Prefix affinity: requests that begin alike go to the engine replica whose KV cache holds that beginning."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from deployments.placement import Labels

ROUTER = "deployments.prefix_router.PrefixRouter"
EVICTION_S = 10
KEPT = 0.9
"""What is left of a replica's remembered characters when the oldest have been forgotten."""


class AffinityConfig(BaseModel):
    """Whether requests that begin alike go to the same replica of a model, and when its load overrules that."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = Field(False, description="Whether requests are routed by their prompt's beginning.")
    imbalance: int = Field(
        10, ge=1, description="Load decides when one replica has over so many more requests than another."
    )
    match: float = Field(
        0.3, gt=0, le=1, description="Share of a prompt that a replica must have seen before to be preferred."
    )
    remembered_chars: int = Field(
        400_000, ge=10_000, description="Characters of prompts remembered of each replica; the oldest are forgotten."
    )

    def router(self, labels: Labels) -> dict[str, Any] | None:
        """Serve's `request_router_config`, whose memory of prompts stays on nodes with `labels`; None: Serve's own."""
        if not self.enabled:
            return None
        return {
            "request_router_class": ROUTER,
            "request_router_kwargs": {
                "imbalanced_threshold": self.imbalance,
                "match_rate_threshold": self.match,
                "do_eviction": True,
                "eviction_threshold_chars": self.remembered_chars,
                "eviction_target_chars": round(self.remembered_chars * KEPT),
                "eviction_interval_secs": EVICTION_S,
                "labels": dict(labels),
            },
        }
