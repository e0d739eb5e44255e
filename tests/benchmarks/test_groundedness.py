from pathlib import Path

import numpy as np
import pytest

from benchmarks.groundedness import area, main, quotations, score_all, wronged
from guardrails.train_grounded import Judged

KNOWLEDGE = "Replicas scale on ongoing requests. The guard does not call a model."
JUDGED = Judged(
    ["Replicas scale on ongoing requests.", "Bananas grow in warm tropical climates.", "Yes."],
    [KNOWLEDGE] * 3,
    np.array([True, False, False]),
    np.array([0, 1, 2]),
)


def test_what_claims_nothing_counts_as_unsupported() -> None:
    scores, spent = score_all(JUDGED, None)
    assert scores[0] == 1.0
    assert scores[1] < 0.1
    assert scores[2] == 0.0
    assert len(spent) == 3
    assert area(JUDGED, scores)["auc"] == 1.0


def test_quotations_are_the_sentences_of_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(KNOWLEDGE)
    assert [quote for quote, _ in quotations(tmp_path)] == KNOWLEDGE.replace(". ", ".\n").split("\n")
    found = wronged(tmp_path, None)
    assert found["quotations"] == 2
    assert found["below"] == {"0.3": 0.0, "0.5": 0.0}


def test_a_folder_without_rows_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["groundedness", "--data", str(tmp_path)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert f"--data: no rows in a .jsonl file of {tmp_path}" in capsys.readouterr().err
