"""Prometheus figures of the admission, by class: who came in, who was refused, who waits, and what the estimate was."""

from ray.serve.metrics import Counter, Gauge

from rag.admission import Decision

TAGS = ("model", "priority")


class AdmissionMetrics:
    """Notes each decision, and who waits."""

    def __init__(self) -> None:
        self.admitted = Counter("raglan_admission_admitted_total", description="Chat requests admitted.", tag_keys=TAGS)
        self.refused = Counter(
            "raglan_admission_refused_total",
            description="Chat requests refused: their first text would have been late, or batch had no room.",
            tag_keys=TAGS,
        )
        self.waited = Counter(
            "raglan_admission_waited_seconds_total",
            description="Seconds that batch requests waited for room, until they were admitted or refused.",
            tag_keys=("model",),
        )
        self.waiting = Gauge(
            "raglan_admission_waiting", description="Batch requests that wait for room.", tag_keys=("model",)
        )
        self.estimated = Gauge(
            "raglan_admission_estimated_ttft_seconds",
            description="Estimated seconds to the first text of the request that came last; 0: nothing known.",
            tag_keys=TAGS,
        )

    def note(self, decision: Decision) -> None:
        """Take one decision."""
        model = {"model": decision.model}
        tags = {**model, "priority": decision.priority}
        self.estimated.set(decision.estimate_s, tags)
        (self.admitted if decision.admitted else self.refused).inc(1, tags)
        if decision.waited_s:
            self.waited.inc(decision.waited_s, model)

    def wait(self, model: str, count: int) -> None:
        """Take how many batch requests wait for a model."""
        self.waiting.set(count, {"model": model})
