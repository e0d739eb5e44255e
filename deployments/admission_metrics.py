"""Prometheus figures of the admission: who was refused, and what the estimate was."""

from ray.serve.metrics import Counter, Gauge


class AdmissionMetrics:
    """Notes each decision."""

    def __init__(self) -> None:
        self.refused = Counter(
            "raglan_admission_refused_total",
            description="Chat requests refused because their first text would have been late.",
            tag_keys=("model",),
        )
        self.estimated = Gauge(
            "raglan_admission_estimated_ttft_ms",
            description="Estimated milliseconds to the first text of the request that came last; 0: nothing known.",
            tag_keys=("model",),
        )

    def note(self, model: str, seconds: float, admitted: bool) -> None:
        """Take one decision: the model, the estimate (0: unknown) and whether the request was admitted."""
        self.estimated.set(round(seconds * 1e3, 3), {"model": model})
        if not admitted:
            self.refused.inc(1, {"model": model})
