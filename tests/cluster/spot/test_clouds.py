"""Each cloud's announcement is read from a server that speaks its protocol, and nothing else is taken for one."""

import runpy
import time
from collections.abc import Callable
from http.client import HTTPConnection
from types import SimpleNamespace
from typing import Literal

import pytest

from cluster.spot import metadata
from cluster.spot.clouds import AZURE_NAME, GCP_S, TOKEN_S, Aws, Azure, Gcp, clouds, find
from cluster.spot.fake import FakeMetadata
from cluster.spot.notice import Cloud, Notice, Unreachable

pytestmark = pytest.mark.world
NAMES: tuple[Literal["aws", "gcp", "azure"], ...] = ("aws", "gcp", "azure")
KINDS: dict[str, Callable[[str], Cloud]] = {"aws": Aws, "gcp": Gcp, "azure": Azure}
NOBODY = "http://127.0.0.1:9"


@pytest.mark.parametrize("name", NAMES)
def test_a_machine_finds_its_cloud(name: Literal["aws", "gcp", "azure"]) -> None:
    with FakeMetadata(name) as fake:
        found = find(clouds(fake.url, True))
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("name", NAMES)
def test_an_end_is_announced_with_its_time(name: Literal["aws", "gcp", "azure"]) -> None:
    with FakeMetadata(name) as fake:
        cloud = KINDS[name](fake.url)
        assert cloud.here()
        assert cloud.notice() is None
        fake.taken_at = float(int(time.time())) + GCP_S
        notice = cloud.notice()
        assert cloud.notice() == notice
    assert notice is not None
    assert notice.at == pytest.approx(fake.taken_at, abs=2)


def test_aws_recommends_before_it_announces() -> None:
    with FakeMetadata("aws") as fake:
        fake.rebalance = True
        cloud, patient = Aws(fake.url), Aws(fake.url, rebalance=False)
        assert cloud.notice() == Notice("rebalance recommendation", None)
        assert patient.notice() is None
        fake.taken_at = 1_800_000_000.0
        assert cloud.notice() == patient.notice() == Notice("spot terminate", 1_800_000_000.0)


def test_awss_session_token_serves_many_looks_until_half_its_life_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, tokens = SimpleNamespace(now=1.0), []
    monkeypatch.setattr("cluster.spot.clouds.time", SimpleNamespace(monotonic=lambda: clock.now))
    with FakeMetadata("aws") as fake:
        cloud = Aws(fake.url)
        for now in (1.0, 2.0, TOKEN_S / 2, TOKEN_S / 2 + 1):
            clock.now = now
            cloud.notice()
            tokens.append(sum(call.startswith("PUT") for call in fake.calls))
    assert tokens == [1, 1, 1, 2]


def test_azures_events_for_other_machines_are_not_ours() -> None:
    with FakeMetadata("azure") as fake:
        fake.taken_at, fake.machine = time.time(), "another"
        assert Azure(fake.url).notice() is None
    assert f"GET {AZURE_NAME}" in fake.calls


@pytest.mark.parametrize("name", NAMES)
def test_a_service_that_fails_is_not_taken_for_silence(name: Literal["aws", "gcp", "azure"]) -> None:
    with FakeMetadata(name) as fake:
        fake.broken = 500
        with pytest.raises(Unreachable, match="status 500"):
            KINDS[name](fake.url).notice()
    with pytest.raises(Unreachable, match="refused"):
        KINDS[name](NOBODY).notice()


def test_the_service_is_asked_past_any_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(connection: HTTPConnection) -> None:
        raise OSError(f"refused by {connection.host}")

    monkeypatch.setattr(HTTPConnection, "connect", refuse)
    monkeypatch.setenv("http_proxy", "http://proxy:3128")
    ask = runpy.run_path(metadata.__file__)["ask"]
    with pytest.raises(Unreachable, match="refused by service"):
        ask("http://service/", {})


def test_where_nothing_answers_no_cloud_is_found() -> None:
    with pytest.raises(Unreachable):
        find(clouds(NOBODY, True))
