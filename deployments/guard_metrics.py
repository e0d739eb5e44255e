"""Prometheus figures of the guardrails' checks. Ray's histograms only estimate sums, so a counter has the sum."""

from collections.abc import Iterable
from typing import Literal

from ray.serve.metrics import Counter, Histogram

from rag.types import Verdict

BOUNDARIES_MS = [0.1, 0.3, 1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000]


class CheckMetrics:
    """Counts the checks of one side."""

    def __init__(self, side: Literal["input", "passages", "output"]) -> None:
        self.checks = Counter(
            "raglan_guardrail_checks_total",
            description="Guardrail checks, by what they did.",
            tag_keys=("side", "check", "action"),
        )
        self.spent = Counter(
            "raglan_guardrail_check_ms_total",
            description="Milliseconds spent in guardrail checks.",
            tag_keys=("side", "check"),
        )
        self.ms = Histogram(
            "raglan_guardrail_check_ms",
            description="Milliseconds of a guardrail check.",
            boundaries=BOUNDARIES_MS,
            tag_keys=("side", "check"),
        )
        for metric in (self.checks, self.spent, self.ms):
            metric.set_default_tags({"side": side})  # a dict of its own: Ray adds its tags to it

    def count(self, verdicts: Iterable[Verdict]) -> None:
        """Note every check of `verdicts`; one that was skipped took no time."""
        for check in (check for verdict in verdicts for check in verdict.checks):
            self.checks.inc(1, {"check": check.name, "action": check.action})
            if check.action != "skipped":
                self.spent.inc(max(check.ms, 1e-6), {"check": check.name})
                self.ms.observe(check.ms, {"check": check.name})
