import json
from pathlib import Path

import numpy as np
import pytest

from guardrails.train_grounded import DECISIVE, Judged, auc, cross_validated, fit, load

NAMES = ("words", "numbers", "names")


def made(rows: int = 400) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(1)
    x = generator.random((rows, 3))
    return x, x[:, 0] + generator.normal(0, 0.1, rows) > 0.5


def test_weights_keep_their_bounds_and_separate() -> None:
    x, y = made()
    weights, bias = fit(x, y, NAMES)
    assert weights[1] == pytest.approx(DECISIVE)
    assert 0 <= weights[2] <= 3
    assert weights[0] > 5
    assert auc(y, x[:, :1] @ weights[:1] + bias) > 0.9
    assert np.array_equal(fit(x, y, NAMES)[0], weights)


def test_a_figure_that_speaks_against_support_gets_no_weight() -> None:
    x, y = made()
    weights, _ = fit(-x[:, :1], y, ("words",))
    assert weights[0] == 0


def test_the_area_by_hand() -> None:
    y = np.array([True, True, False, False])
    assert auc(y, np.array([3.0, 1.0, 2.0, 1.0])) == pytest.approx((1 + 1 + 0 + 0.5) / 4)


def test_folds_are_never_trained_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import guardrails.train_grounded as train

    seen: list[int] = []

    def counted(x: np.ndarray, y: np.ndarray, names: tuple[str, ...]) -> tuple[np.ndarray, float]:
        seen.append(len(x))
        return np.ones(x.shape[1]), 0.0

    monkeypatch.setattr(train, "fit", counted)
    x, y = made(10)
    judged = Judged([""] * 10, [""] * 10, y, np.array([0] * 3 + [1] * 7))
    assert cross_validated(x, judged, NAMES) == pytest.approx(x.sum(1))
    assert seen == [7, 3]


def test_labels_are_read(tmp_path: Path) -> None:
    rows = [
        {"knowledge": "a", "response": "b", "label": label, "fold": n}
        for n, label in enumerate(["Fully attributable", "Generic", "Not fully attributable"])
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    judged = load(tmp_path)
    assert judged.supported.tolist() == [True, False, False]
    assert judged.folds.tolist() == [0, 1, 2]
