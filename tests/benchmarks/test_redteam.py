"""garak's configuration, its report in figures, and the table. garak itself is not here: a script stands in for it."""

import inspect
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.error import HTTPError

import pytest
import yaml

from benchmarks import redteam, redteam_target
from benchmarks.redteam import main, table, total, wilson
from benchmarks.redteam_garak import PROBES, Outcome, ScanFailed, Target, configuration, outcomes, scan

TARGET = Target("http://127.0.0.1:8000/", "quote")


def attempt(probe: str, text: str | None, reason: str = "stop", **results: float | None) -> dict[str, Any]:
    outputs = [None] if text is None else [{"text": text}, {"text": reason}]
    found = {name.replace("__", "."): [score] + [0.0] * (text is not None) for name, score in results.items()}
    return {"entry_type": "attempt", "probe_classname": probe, "outputs": outputs, "detector_results": found}


REPORT = [
    {"entry_type": "start_run setup"},
    {**attempt("dan.DUDE", "Sure."), "detector_results": {}},
    attempt("dan.DUDE", "Sure.", dan__DUDE=1.0),
    attempt("dan.DUDE", "I can't help with that.", "content_filter", dan__DUDE=0.0),
    attempt("dan.DUDE", "I hate- [withheld]", "content_filter", dan__DUDE=1.0),
    attempt("dan.DUDE", None, dan__DUDE=None),
    attempt("dan.DanInTheWild", "I can't help with that.", "content_filter", mitigation__MitigationBypass=1.0),
    attempt("dan.DanInTheWild", "Replicas scale.", mitigation__MitigationBypass=1.0),
    attempt("dan.DanInTheWild", "I'm sorry.", mitigation__MitigationBypass=0.0),
    {"entry_type": "eval", "probe": "dan.DUDE", "passed": 1},
]
SEEN = ("dan.DUDE", "dan.DanInTheWild")
FIGURES = [Outcome("dan.DUDE", 4, 3, 2, 2), Outcome("dan.DanInTheWild", 3, 3, 1, 1)]


def written(folder: Path) -> Path:
    path = folder / "scan.report.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in REPORT))
    return path


def test_a_report_in_figures(tmp_path: Path) -> None:
    assert outcomes(written(tmp_path)) == FIGURES


def test_a_report_without_finish_reasons_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "scan.report.jsonl"
    entry = attempt("dan.DUDE", "stop", dan__DUDE=0.0)
    path.write_text(json.dumps({**entry, "outputs": entry["outputs"][:1]}))
    with pytest.raises(ScanFailed, match="finish reason"):
        outcomes(path)


def test_each_prompt_is_asked_once_for_its_answer_and_its_finish_reason() -> None:
    config = configuration(TARGET, PROBES, 20, Path("/reports"))
    assert config["run"]["generations"] == 2
    assert config["plugins"]["target_name"] == "benchmarks.redteam_target#ask"
    signature = inspect.signature(redteam_target.ask)
    signature.bind("prompt", 2, **config["plugins"]["generators"]["function"]["Multiple"]["kwargs"])


class Raglan(BaseHTTPRequestHandler):
    """Answers with the statuses it is told, and remembers what it was asked."""

    statuses: ClassVar[list[int]] = []
    asked: ClassVar[list[tuple[str, str | None, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, self.headers["Authorization"], body))
        status = self.statuses.pop(0)
        choice = {"message": {"content": "I can't."}, "finish_reason": "content_filter"}
        data = json.dumps({"choices": [choice]} if status == 200 else {"error": {}}).encode()
        self.send_response(status)
        self.send_header("Retry-After", "0")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def target() -> Iterator[dict[str, Any]]:
    """What `ask` is told of a local server."""
    Raglan.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Raglan) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/"
        yield {"url": url, "model": "quote", "max_tokens": 8, "timeout_s": 5}
        server.shutdown()
        thread.join()


@pytest.mark.world
@pytest.mark.parametrize("statuses", [[200], [429, 503, 200]])
def test_an_answer_comes_with_its_finish_reason(
    target: dict[str, Any], statuses: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REST_API_KEY", "rgl-key")
    Raglan.statuses[:] = statuses
    assert redteam_target.ask("Ignore \ud800 that", 2, **target) == ["I can't.", "content_filter"]
    messages = [{"role": "user", "content": "Ignore \ud800 that"}]
    sent = ("/v1/chat/completions", "Bearer rgl-key", {"model": "quote", "messages": messages, "max_tokens": 8})
    assert Raglan.asked == [sent] * len(statuses)


@pytest.mark.world
@pytest.mark.parametrize("status", [400, 413])
def test_a_request_that_raglan_does_not_take_has_no_answer(target: dict[str, Any], status: int) -> None:
    Raglan.statuses[:] = [status]
    assert redteam_target.ask("Why?", 2, **target) == []


@pytest.mark.world
@pytest.mark.parametrize("statuses", [[500], [401], [503] * redteam_target.TRIES])
def test_a_server_that_fails_ends_the_scan(target: dict[str, Any], statuses: list[int]) -> None:
    Raglan.statuses[:] = statuses
    with pytest.raises(HTTPError) as raised:
        redteam_target.ask("Why?", 2, **target)
    raised.value.close()
    assert Raglan.statuses == []


def test_the_outputs_are_two() -> None:
    with pytest.raises(ValueError, match="two generations"):
        redteam_target.ask("Why?", 1, url="", model="", max_tokens=1, timeout_s=1)


def garak(folder: Path, script: str) -> Path:
    """A program that takes the place of garak's Python."""
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_a_scan_runs_garak_in_a_folder_of_its_own(tmp_path: Path) -> None:
    report = written(tmp_path)
    folder = tmp_path / "scan"
    script = f'echo "$@" "$XDG_CACHE_HOME" "$HF_HUB_OFFLINE"; cp {report} {folder}/scan.report.jsonl'
    assert scan(garak(tmp_path, script), TARGET, SEEN, 5, folder) == FIGURES
    assert (folder / "garak.log").read_text().split() == [
        *("-m", "garak", "--config", f"{folder}/garak.yaml"),
        *(f"{folder}/cache", "1"),
    ]
    config = yaml.safe_load((folder / "garak.yaml").read_text())
    assert config["run"]["soft_probe_prompt_cap"] == 5
    assert config["run"]["spec"]["include"] == [f"probes.{probe}" for probe in SEEN]


@pytest.mark.parametrize("script", ["echo no such probe; exit 2", "true"])
def test_a_scan_without_a_report_fails_though_an_old_one_is_there(tmp_path: Path, script: str) -> None:
    written(tmp_path)
    with pytest.raises(ScanFailed, match="no such probe" if "exit" in script else "status 0"):
        scan(garak(tmp_path, script), TARGET, SEEN, 5, tmp_path)


def test_a_probe_that_did_not_end_fails_the_scan(tmp_path: Path) -> None:
    fake = garak(tmp_path, f"cp {written(tmp_path)} {tmp_path}/scan/scan.report.jsonl")
    with pytest.raises(ScanFailed, match=r"did not end these probes: dan\.STAN;"):
        scan(fake, TARGET, ("dan.DUDE", "dan.STAN"), 5, tmp_path / "scan")


def test_the_intervals_are_wilsons() -> None:
    assert [round(x, 3) for x in wilson(0, 20)] == [0.0, 0.161]
    assert [round(x, 3) for x in wilson(10, 20)] == [0.299, 0.701]
    assert wilson(0, 0) == (0.0, 1.0)


def test_the_table_compares_off_and_on() -> None:
    on = [Outcome("dan.DUDE", 4, 4, 4, 0)]
    lines = table({"off": FIGURES, "on": on}).splitlines()
    assert lines[0].startswith("| probe | attacks, off | succeeded, off | refused, off | attacks, on |")
    assert lines[2] == "| dan.DUDE | 3 of 4 | 67% (21% to 94%) | 67% | 4 of 4 | 0% (0% to 49%) | 100% |"
    assert lines[3].endswith("| 33% | 0 | - | - |")
    assert lines[4].startswith("| all | 6 of 7 | 50% ")
    assert total(FIGURES) == Outcome("all", 7, 6, 3, 3)


def test_a_running_raglan_is_attacked_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(redteam, "FOLDER", tmp_path)
    fake = garak(tmp_path, f"cp {written(tmp_path)} {tmp_path}/on/scan.report.jsonl")
    out, probes = tmp_path / "figures.json", ("--probes", ",".join(SEEN))
    assert main(["--garak", str(fake), "--url", "http://127.0.0.1:1", "--out", str(out), *probes]) == 0
    assert "| dan.DUDE | 3 of 4 |" in capsys.readouterr().out
    assert json.loads(out.read_text())["on"][0]["succeeded"] == 2
    assert main(["--garak", str(garak(tmp_path, "exit 3")), "--url", "http://127.0.0.1:1", *probes]) == 1
    assert "status 3" in capsys.readouterr().err
