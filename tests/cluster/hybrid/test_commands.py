"""The limits and status files, and the three commands."""

import json
import os
from pathlib import Path

import pytest
import yaml

from cluster.hybrid.__main__ import main, parse_demand
from cluster.hybrid.assembly import build_fleet
from cluster.hybrid.cluster_file import read_cluster_file
from cluster.hybrid.cluster_view import nothing
from cluster.hybrid.config import HybridConfig
from cluster.hybrid.dry_run import plan
from cluster.hybrid.limits_file import LimitsFile
from cluster.hybrid.policy import Limit
from cluster.hybrid.pool import LaunchRefused, Order
from cluster.hybrid.status import PoolStatus, Status, StatusFile, read_status, table
from cluster.hybrid.surroundings import Surroundings, surroundings
from cluster.hybrid.whole_file import write_whole
from tests.cluster.hybrid.fakes import Clock
from tests.cluster.hybrid.harness import cluster_file, hybrid

LIMITS = {"onprem-gpu": Limit(1, 2), "cloud-gpu": Limit(4, 1, 1), "head": Limit(9, 9)}


def write(folder: Path, **provider: object) -> Path:
    config = cluster_file(hybrid(["h1", "h2"], {"per_hour": 6}, **provider), onprem_gpu={}, cloud_gpu={})
    config["available_node_types"]["onprem-gpu"]["labels"] = {"site": "onprem"}
    file = folder / "hybrid.yaml"
    file.write_text(yaml.safe_dump(config))
    return file


def test_limits_are_written_once_whole_and_never_for_the_head(tmp_path: Path) -> None:
    file = write(tmp_path)
    os.chmod(file, 0o640)
    limits = LimitsFile(file)
    assert limits.write(LIMITS)
    kinds = yaml.safe_load(file.read_text())["available_node_types"]
    assert {key: kinds["cloud-gpu"][key] for key in ("min_workers", "max_workers", "priority")} == {
        "min_workers": 1,
        "max_workers": 4,
        "priority": 1,
    }
    assert kinds["head"]["max_workers"] == 0
    assert file.stat().st_mode & 0o777 == 0o640
    assert not limits.write(LIMITS)
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_that_was_replaced_gets_the_limits_again(tmp_path: Path) -> None:
    file = write(tmp_path)
    limits = LimitsFile(file)
    limits.write(LIMITS)
    write(tmp_path)
    assert limits.write(LIMITS)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = write(tmp_path)
    before = file.read_text()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        write_whole(file, "half")
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]


def test_status_tells_nodes_limits_money_and_what_is_set_aside(tmp_path: Path) -> None:
    file, clock = write(tmp_path), Clock(1_000_000)
    config = HybridConfig.model_validate({**hybrid(["h1", "h2"]), "state_dir": tmp_path})
    config.pools.pop("cloud")
    fleet = build_fleet(config, "test", Surroundings(file, "10.0.0.1:6379", clock, nothing))
    fleet.set_aside("onprem", "h1", "Connection refused")
    fleet.nodes()
    status = read_status(tmp_path / "status.json")
    assert status.pools["onprem"].most == {"onprem-gpu": 1}
    (entry,) = status.pools["onprem"].aside
    assert entry == {"thing": "h1", "reason": "Connection refused", "failures": 1, "until": 1_000_030}
    assert yaml.safe_load(file.read_text())["available_node_types"]["onprem-gpu"]["max_workers"] == 1
    told = "\n".join(table(status, clock() + 4))
    assert "onprem: h1 is set aside until 13:47:10Z, in 26 s: Connection refused (failures in a row: 1)" in told
    fleet.set_aside("onprem", "h2", "Connection refused")
    with pytest.raises(LaunchRefused, match="no host is free"):
        fleet.create(Order("onprem-gpu", 1))


def test_an_unchanged_status_is_written_again_when_it_is_old(tmp_path: Path) -> None:
    file = StatusFile(tmp_path)
    pools = {"p": PoolStatus({"x": 1}, 0, 0, {"x": 2}, 3.0, None, None)}
    for now, kept in ((100.0, 100.0), (105.0, 100.0), (111.0, 111.0)):
        file.write(Status(now, pools))
        assert read_status(file.path).time == kept


def test_the_monitors_arguments_are_found(tmp_path: Path) -> None:
    given = surroundings(None, ["monitor.py", "--logs-dir=/x", f"--autoscaling-config={tmp_path}/a.yaml"])
    assert (given.autoscaling_file, given.gcs_address, given.view) == (tmp_path / "a.yaml", "", nothing)
    assert surroundings("h:1", ["ray", "up"]).gcs_address == "h:1"


def test_check_prints_the_pools_or_the_problems(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path)
    assert main(["check", str(file)]) == 0
    assert json.loads(capsys.readouterr().out) == {"pools": ["cloud", "onprem"]}
    file.write_text(file.read_text().replace("kind: cloud", "kind: clout"))
    assert main(["check", str(file)]) == 2
    assert "hybrid.yaml:" in capsys.readouterr().err


def test_status_without_a_provider_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--file", str(tmp_path / "none.json")]) == 1
    assert "no hybrid provider has run here" in capsys.readouterr().err


def test_a_dry_run_fills_hosts_then_the_cloud_within_its_budget(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path)
    assert main(["dry-run", str(file), "--demand", "7xGPU=1"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1] == ["onprem", "onprem-gpu", "2", "0"]
    assert lines[2] == ["cloud", "cloud-gpu", "3", "6"]
    assert lines[3] == ["total", "5", "6"]
    assert lines[4] == ["2", "replicas", "find", "no", "place"]


def test_a_dry_run_obeys_labels_and_a_status(tmp_path: Path) -> None:
    file = read_cluster_file(write(tmp_path))
    tied = plan(file, [parse_demand("3xGPU=1@site=onprem")])
    assert [(launch.node_type, launch.count) for launch in tied.launches] == [("onprem-gpu", 2)]
    assert tied.unplaced == 1
    down = plan(file, [parse_demand("2xGPU=1")], {"onprem-gpu": 0})
    assert [(launch.node_type, launch.count) for launch in down.launches] == [("cloud-gpu", 2)]


def test_a_dry_run_takes_the_files_own_workloads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, workloads=[{"name": "LLM", "resources": {"GPU": 1}, "count": 2, "private": True}])
    assert main(["dry-run", str(file)]) == 0
    assert "onprem-gpu               2" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["GPU", "axGPU=1", "2xGPU=one", "0xGPU=1", "GPU=1@site"])
def test_a_demand_that_cannot_be_read_is_refused(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["dry-run", "x.yaml", "--demand", text])
    assert "expected COUNTxRESOURCE=AMOUNT" in capsys.readouterr().err
