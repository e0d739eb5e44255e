"""The chaos run in little: an engine dies in mid-stream, an Ingress and Serve's controller die, all is replaced."""

import json
import re
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.chaos_faults import STAGES
from benchmarks.nodes import may_make_machines
from deployments.settings import ROOT

FAULTS = ("kill LLM:quote", "kill Ingress", "kill controller", "rolling update")
MOST_HELD = 20
"""More requests than one Ingress replica has open at this rate: when it dies, those and no others fail."""

pytestmark = [
    pytest.mark.ray,
    pytest.mark.timeout(740),
    pytest.mark.skipif(not may_make_machines(), reason="needs the right to make network namespaces"),
]


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of a run on machines of its own."""
    out = tmp_path_factory.mktemp("chaos") / "chaos.json"
    options = ["--seconds-per-fault", "6", "--faults", ",".join(FAULTS), "--rate", "3", "--out", str(out)]
    options += ["--single", "Embedder,Guard,Reranker,Validator"]
    done = subprocess.run(
        [str(ROOT / "tests" / "isolate.sh"), sys.executable, "-m", "benchmarks.chaos", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=700,
        check=False,
    )
    assert out.exists(), done.stdout[-2000:] + done.stderr[-4000:]
    found: dict[str, Any] = json.loads(out.read_text())
    return {**found, "rows": {row["name"]: row for row in found["rows"]}}


@pytest.mark.parametrize("fault", ["none", "kill LLM:quote", "kill controller", "rolling update"])
def test_no_request_fails(seen: dict[str, Any], fault: str) -> None:
    row = seen["rows"][fault]
    assert row["correct"] == row["admitted"] > 0, row
    assert set(row["streams"]) <= {"done"}, row


def test_the_rolling_update_replaced_every_replica(seen: dict[str, Any]) -> None:
    replaced = re.search(r"(\d+) replicas replaced", seen["rows"]["rolling update"]["detail"])
    assert replaced
    assert int(replaced[1]) > len(STAGES)


def test_an_ingress_that_dies_takes_only_what_it_held(seen: dict[str, Any]) -> None:
    row = seen["rows"]["kill Ingress"]
    assert row["admitted"] - row["correct"] <= MOST_HELD, row
    assert row["streams"].get("silent", 0) == 0, row


def test_nothing_is_lost_and_nothing_is_there_twice(seen: dict[str, Any]) -> None:
    kept = seen["kept"]
    assert kept["documents"] > 0
    assert kept["ratings"] > 0
    assert not any(kept[name] for name in ("lost", "unfindable", "back", "missing", "doubled")), kept
