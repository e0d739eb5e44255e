"""Prometheus figures of the guardrails' checks. Ray's histograms only estimate sums, so a counter has the sum."""

from collections.abc import Iterable
from typing import Literal

from ray.serve.metrics import Counter, Histogram

from rag.types import Verdict

BOUNDARIES_S = [1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1, 3, 10]


class CheckMetrics:
    """Counts the checks of one side."""

    def __init__(self, side: Literal["input", "passages", "output"]) -> None:
        self.checks = Counter(
            "raglan_guardrail_checks_total",
            description="Guardrail checks, by what they did.",
            tag_keys=("side", "check", "action"),
        )
        self.spent = Counter(
            "raglan_guardrail_check_seconds_total",
            description="Seconds spent in guardrail checks.",
            tag_keys=("side", "check"),
        )
        self.seconds = Histogram(
            "raglan_guardrail_check_duration_seconds",
            description="Seconds of a guardrail check.",
            boundaries=BOUNDARIES_S,
            tag_keys=("side", "check"),
        )
        for metric in (self.checks, self.spent, self.seconds):
            metric.set_default_tags({"side": side})  # a dict of its own: Ray adds its tags to it

    def count(self, verdicts: Iterable[Verdict]) -> None:
        """Note every check of `verdicts`; one that was skipped took no time."""
        for check in (check for verdict in verdicts for check in verdict.checks):
            self.checks.inc(1, {"check": check.name, "action": check.action})
            if check.action != "skipped":
                seconds = check.ms / 1e3
                self.spent.inc(max(seconds, 1e-9), {"check": check.name})
                self.seconds.observe(seconds, {"check": check.name})
