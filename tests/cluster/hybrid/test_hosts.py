"""Pools of hosts and how hosts are started: joining, adoption, what ssh is told, real processes."""

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from cluster.hybrid.cluster_view import Seen
from cluster.hybrid.config import LocalPool, OnPremPool, Ssh
from cluster.hybrid.hosts import Hosts
from cluster.hybrid.joined import JoinedHosts
from cluster.hybrid.pool import TAG_KIND, TAG_TYPE, Order
from cluster.hybrid.starter import ProcessStarter, SshStarter, StartFailed, run
from cluster.hybrid.surroundings import Surroundings
from tests.cluster.hybrid.fakes import Clock, FakeStarter

RACK = LocalPool(kind="local", hosts=["h0", "h1"], node_types={"r": {}}, join_timeout_s=60)


class Told:
    def __init__(self) -> None:
        self.news: list[tuple[str, ...]] = []

    def failed(self, thing: str, reason: str) -> None:
        self.news.append((thing, reason))

    def joined(self, thing: str) -> None:
        self.news.append((thing,))


class Rack:
    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}
        self.clock, self.starter, self.told = Clock(), FakeStarter(), Told()
        self.hosts = Hosts(
            "rack", RACK, self.starter, Surroundings(None, "10.0.0.1:6379", self.clock, lambda: self.seen)
        )
        self.hosts.listen(self.told)


def test_a_start_passes_head_identity_resources_and_labels() -> None:
    rack = Rack()
    order = Order("r", 1, ("h0",), {}, {}, {"GPU": 2}, {"site": "onprem"})
    (node_id,) = rack.hosts.launch(order).started
    assert rack.starter.environments == [
        {
            "RAY_ADDRESS": "10.0.0.1:6379",
            "RAY_HEAD_IP": "10.0.0.1",
            "RAY_CLOUD_INSTANCE_ID": f"rack/{node_id}",
            "RAY_NODE_TYPE_NAME": "r",
            "RAY_OVERRIDE_RESOURCES": '{"GPU": 2}',
            "RAY_OVERRIDE_LABELS": '{"site": "onprem"}',
        }
    ]


def test_hosts_fail_one_by_one() -> None:
    rack = Rack()
    rack.starter.down.add("h0")
    outcome = rack.hosts.launch(Order("r", 2, ("h0", "h1")))
    assert [node.host for node in outcome.started.values()] == ["h1"]
    assert outcome.failed == [("h0", "Connection refused")]
    assert len(rack.hosts.nodes()) == 1


def test_a_host_that_never_joins_is_stopped_and_reported() -> None:
    rack = Rack()
    (node_id,) = rack.hosts.launch(Order("r", 1, ("h0",))).started
    rack.clock.now += 61
    assert rack.hosts.nodes() == {}
    assert rack.told.news == [("h0", "did not join within 60 s")]
    assert rack.starter.stopped == [f"rack/{node_id}"]


def test_a_host_that_joins_is_reported_once_and_kept() -> None:
    rack = Rack()
    (node_id,) = rack.hosts.launch(Order("r", 1, ("h0",))).started
    rack.seen[f"rack/{node_id}"] = Seen("r")
    for _ in range(2):
        rack.clock.now += 61
        assert list(rack.hosts.nodes()) == [node_id]
    assert rack.told.news == [("h0",)]


def test_what_runs_is_adopted_and_what_was_ended_is_not() -> None:
    rack = Rack()
    rack.seen = {"rack/h1@abc": Seen("r"), "rack/stranger@1": Seen("r"), "other/h1@2": Seen("r")}
    (node,) = rack.hosts.nodes().values()
    assert (node.host, node.tags) == ("h1", {TAG_KIND: "worker", TAG_TYPE: "r"})
    rack.hosts.terminate("h1@abc")
    assert rack.starter.stopped == ["rack/h1@abc"]
    assert rack.hosts.nodes() == {}


def test_a_host_that_cannot_be_stopped_is_reported_and_let_go() -> None:
    rack = Rack()
    (node_id,) = rack.hosts.launch(Order("r", 1, ("h0",))).started
    rack.starter.down.add("h0")
    rack.hosts.terminate(node_id)
    assert rack.told.news == [("h0", "did not end: Connection refused")]
    assert rack.hosts.nodes() == {}


def test_the_head_is_given_its_host_and_not_started() -> None:
    rack = Rack()
    (node_id,) = rack.hosts.launch(Order("r", 1, ("h0",), {TAG_KIND: "head"})).started
    rack.clock.now += 1000
    assert list(rack.hosts.nodes()) == [node_id]
    assert rack.starter.started == []


def test_the_next_ray_up_finds_the_head_again_until_it_was_ended(tmp_path: Path) -> None:
    def up() -> Hosts:
        return Hosts("rack", RACK, FakeStarter(), Surroundings(clock=Clock()), tmp_path / "head.json")

    first = up()
    (node_id,) = first.launch(Order("r", 1, ("h0",), {TAG_KIND: "head"})).started
    first.tag(node_id, {"ray-launch-config": "abc"})
    (node,) = up().nodes().values()
    assert (node.host, node.tags) == ("h0", {TAG_KIND: "head", "ray-launch-config": "abc"})
    up().terminate(node_id)
    assert up().nodes() == {}


def test_hosts_that_join_by_themselves_are_counted_by_address() -> None:
    pool = OnPremPool(kind="onprem", start="joined", hosts=["127.0.0.1", "10.9.9.9"], node_types={"r": {}})
    seen: Mapping[str, Seen] = {"unmanaged:127.0.0.1": Seen("", address="127.0.0.1"), "cloud/i-1": Seen("c")}
    hosts = JoinedHosts(pool, Surroundings(view=lambda: seen))
    hosts._addresses = {host: host for host in pool.hosts}
    (node,) = hosts.nodes().values()
    assert (node.host, node.managed) == ("127.0.0.1", False)


def ssh(status: int, output: str) -> tuple[SshStarter, list[tuple[Sequence[str], float]]]:
    calls: list[tuple[Sequence[str], float]] = []

    def pretend(command: Sequence[str], timeout_s: float) -> tuple[int, str]:
        calls.append((command, timeout_s))
        return status, output

    settings = Ssh(user="ray", key=Path("/keys/id"), port=2222, connect_timeout_s=4, command_timeout_s=20)
    return SshStarter(settings, "ray stop", pretend), calls


def test_ssh_never_asks_and_quotes_what_it_passes() -> None:
    starter, calls = ssh(0, "")
    starter.start("10.0.0.7", "rack/h", {"RAY_OVERRIDE_LABELS": '{"a": "it\'s"}'}, "ray start")
    ((command, timeout_s),) = calls
    assert timeout_s == 20
    assert " ".join(command[:-1]) == (
        "ssh -o BatchMode=yes -o StrictHostKeyChecking=accept-new -o ConnectTimeout=4 -i /keys/id -p 2222 ray@10.0.0.7"
    )
    remote = str(command[-1]).replace("ray start", 'printf %s "$RAY_OVERRIDE_LABELS"')
    printed = subprocess.run(["sh", "-c", remote], capture_output=True, text=True, check=True).stdout
    assert printed == '{"a": "it\'s"}'


@pytest.mark.parametrize(
    ("output", "reason"),
    [("ssh: connect to host h port 22: Connection refused\n", "refused"), ("", "ssh ended with status 255")],
)
def test_ssh_failures_tell_the_last_line(output: str, reason: str) -> None:
    starter, _ = ssh(255, output)
    with pytest.raises(StartFailed, match=reason):
        starter.stop("h", "rack/h")


@pytest.mark.world
def test_a_command_that_hangs_or_is_missing_is_a_status() -> None:
    assert run(["sleep", "9"], 0.1) == (124, "no end after 0.1 s")
    status, output = run(["no-such-command"], 1)
    assert (status, "no-such-command" in output) == (127, True)


@pytest.mark.world
def test_a_process_is_found_again_after_a_restart_and_ended_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cluster.hybrid.starter.ENDING_S", 0.3)
    command = "bash -c 'sleep 50 & trap \"\" TERM; while :; do sleep 0.1; done'"
    environment = {"RAY_CLOUD_INSTANCE_ID": "local/one@1"}
    ProcessStarter(tmp_path).start("one", "local/one@1", environment, command)
    (file,) = tmp_path.glob("*.json")
    (pid,) = [int(n) for n in file.read_text().split(":")[1].strip(" }").split()]
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    again = ProcessStarter(tmp_path)
    again.stop("one", "local/one@1")
    deadline = time.monotonic() + 3
    while any(p.is_running() and p.status() != "zombie" for p in family):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert list(tmp_path.glob("*.json")) == []
    again.stop("one", "local/one@1")


@pytest.mark.world
def test_a_process_that_ends_at_once_did_not_start(tmp_path: Path) -> None:
    variables = {"RAY_CLOUD_INSTANCE_ID": "local/one@1"}
    with pytest.raises(StartFailed, match="ended at once"):
        ProcessStarter(tmp_path).start("one", "local/one@1", variables, "bash -c 'exit 3'")
    assert list(tmp_path.glob("*.json")) == []


@pytest.mark.world
def test_the_number_of_another_process_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "30"], start_new_session=True) as stranger:
        (tmp_path / "local_one@1.json").write_text(f'{{"pid": {stranger.pid}}}')
        ProcessStarter(tmp_path).stop("one", "local/one@1")
        assert stranger.poll() is None
        stranger.kill()
