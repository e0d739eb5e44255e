from typing import Any

import pytest

from deployments.guard_metrics import CheckMetrics
from rag.types import Check, Verdict


def test_every_check_is_counted_by_what_it_did_and_a_skipped_one_takes_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics, seen = CheckMetrics("input"), list[tuple[str, float, dict[str, str]]]()

    def note(name: str) -> Any:
        return lambda value, tags: seen.append((name, value, tags))

    monkeypatch.setattr(metrics.checks, "inc", note("checks"))
    monkeypatch.setattr(metrics.spent, "inc", note("spent"))
    monkeypatch.setattr(metrics.seconds, "observe", note("seconds"))
    broken, skipped = Check("injection", "error", None, 2_000.0, "timeout"), Check("pii", "skipped")
    metrics.count([Verdict(False, (broken, skipped))])
    assert seen == [
        ("checks", 1, {"check": "injection", "action": "error"}),
        ("spent", 2.0, {"check": "injection"}),
        ("seconds", 2.0, {"check": "injection"}),
        ("checks", 1, {"check": "pii", "action": "skipped"}),
    ]
