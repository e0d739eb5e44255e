"""The command's help, its single look, and what it says where there is no cloud."""

import pytest

from cluster.spot import __main__ as command
from cluster.spot.fake import FakeMetadata
from cluster.spot.ray_node import NotDrained, RayNode

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def drains(monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """In how many seconds each drain was to stop the replicas."""
    found: list[float | None] = []
    monkeypatch.setattr(RayNode, "drain", lambda self, reason, stop_in_s: found.append(stop_in_s))
    return found


def test_help_tells_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        command.main(["--help"])
    assert end.value.code == 0
    assert "watch" in capsys.readouterr().out


@pytest.mark.parametrize("wrong", ["0", "-1", "inf", "soon"])
def test_a_time_must_be_one(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["drain", f"--seconds={wrong}"])
    assert "--seconds" in capsys.readouterr().err


@pytest.mark.world
def test_one_look_drains_only_on_a_notice(drains: list[float | None], caplog: pytest.LogCaptureFixture) -> None:
    with FakeMetadata("gcp") as fake, caplog.at_level("INFO"):
        assert command.main(["watch", "--once", f"--endpoint={fake.url}"]) == 0
        assert not drains
        fake.taken_at = 0.0
        assert command.main(["watch", "--once", f"--endpoint={fake.url}", "--cloud=gcp"]) == 0
    assert drains == [pytest.approx(15, abs=1)]


@pytest.mark.world
def test_where_there_is_no_cloud_it_says_so_once_and_ends(
    drains: list[float | None], caplog: pytest.LogCaptureFixture
) -> None:
    assert command.main(["watch", f"--endpoint={NOBODY}", "--every=0.001"]) == 0
    (record,) = caplog.records
    assert record.message == f"no metadata service of aws/gcp/azure answers at {NOBODY}: nothing to watch"
    assert not drains


def test_a_drain_waits_until_the_node_is_empty(drains: list[float | None], monkeypatch: pytest.MonkeyPatch) -> None:
    seen = [{"a"}, {"a"}, set[str]()]
    monkeypatch.setattr(command, "POLL_S", 0)
    monkeypatch.setattr(command, "node_ids", lambda: seen.pop(0))
    monkeypatch.setattr(RayNode, "reaches_head", lambda self: True)
    assert command.main(["drain", "--seconds=100"]) == 0
    assert drains == [50]
    assert not seen


def test_a_drain_gives_up_when_time_is_over_or_the_head_is_gone(
    drains: list[float | None], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(command, "POLL_S", 0)
    monkeypatch.setattr(command, "node_ids", lambda: {"a"})
    monkeypatch.setattr(RayNode, "reaches_head", lambda self: True)
    assert command.main(["drain", "--seconds=0.01"]) == 1
    assert "time is over" in caplog.records[-1].message
    monkeypatch.setattr(RayNode, "reaches_head", lambda self: False)
    monkeypatch.setattr(command, "LOST_S", 0.01)
    assert command.main(["drain", "--seconds=100"]) == 1
    assert "the head is gone" in caplog.records[-1].message


def test_a_drain_that_the_head_does_not_take_fails(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise NotDrained("0 Ray nodes run on this machine, not one")

    monkeypatch.setattr(RayNode, "drain", refuse)
    assert command.main(["drain", "--seconds=1"]) == 1
    assert "0 Ray nodes" in caplog.records[-1].message
