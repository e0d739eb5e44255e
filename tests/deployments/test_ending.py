"""A Serve YAML or a cluster file that cuts a request short is refused, naming the line."""

import re
from pathlib import Path

import pytest
import yaml

from deployments import run
from deployments.cluster_check import faults
from deployments.ending import cluster_faults, serve_faults
from deployments.settings import ROOT, Settings

SERVE = (ROOT / "cluster" / "gpu.yaml").read_text()
HYBRID = (ROOT / "cluster" / "hybrid.yaml").read_text()
KUBERAY = (ROOT / "cluster" / "kuberay" / "rayservice.yaml").read_text()


def line_with(text: str, part: str) -> int:
    return next(n for n, line in enumerate(text.splitlines(), 1) if part in line)


def in_cluster(text: str) -> list[str]:
    return cluster_faults(text, yaml.safe_load(SERVE))


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        (
            "graceful_shutdown_timeout_s: 630",
            "graceful_shutdown_timeout_s: 620",
            "Ingress: graceful_shutdown_timeout_s",
        ),
        ("graceful_shutdown_timeout_s: 600", "graceful_shutdown_timeout_s: 599", "LLM:llama-70b: graceful_shutdown"),
    ],
)
def test_a_replica_that_ends_before_its_requests_is_refused(was: str, now: str, told: str) -> None:
    serve = SERVE.replace(was, now, 1)
    (fault,) = faults(HYBRID, serve)
    assert fault.startswith(f"line {line_with(serve, now)}: {told}")
    assert "shorter than a request, 600 s" in fault


def test_a_replica_with_serves_default_is_refused_at_its_deployment() -> None:
    serve = SERVE.replace("        graceful_shutdown_timeout_s: 600\n", "", 1)
    (fault,) = faults(HYBRID, serve)
    assert fault.startswith(f"line {line_with(serve, 'LLM:llama-70b' + chr(34))}: LLM:llama-70b")


@pytest.mark.parametrize("name", ["local", "cloud", "gpu"])
def test_every_profile_lets_its_requests_end(name: str) -> None:
    text = (ROOT / "cluster" / f"{name}.yaml").read_text()
    settings = Settings.load(yaml.safe_load(text)["applications"][0]["args"])
    assert serve_faults(text, settings, draining_s=0 if name == "local" else 30) == []


def test_a_stage_that_ends_before_its_calls_is_refused() -> None:
    serve = SERVE.replace("graceful_shutdown_timeout_s: 30\n", "graceful_shutdown_timeout_s: 29\n", 1)
    (fault,) = faults(HYBRID, serve)
    assert fault.startswith(f"line {line_with(serve, 'timeout_s: 29')}: Embedder: graceful_shutdown_timeout_s 29")
    assert "shorter than a call of a stage, 30 s" in fault


@pytest.mark.parametrize("command", ["run", "up"])
def test_one_machine_starts_nothing_that_would_cut_answers(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    local = (ROOT / "cluster" / "local.yaml").read_text()
    file = tmp_path / "short.yaml"
    file.write_text(local.replace("graceful_shutdown_timeout_s: 180", "graceful_shutdown_timeout_s: 30", 1))
    monkeypatch.setattr("sys.argv", ["raglan", command, str(file)])
    assert run.main() == 1
    line = line_with(file.read_text(), "timeout_s: 30")
    assert capsys.readouterr().err.startswith(
        f"{file}: line {line}: Ingress: graceful_shutdown_timeout_s 30 is shorter"
    )


def test_requests_need_a_limit_that_lets_answers_end() -> None:
    (fault,) = faults(HYBRID, SERVE.replace("  request_timeout_s: 600\n", "", 1))
    assert "a request may take for ever" in fault
    (fault,) = faults(HYBRID, SERVE.replace("request_timeout_s: 600", "request_timeout_s: 100", 1))
    assert "100 s end answers that may take 120 s" in fault


@pytest.mark.parametrize("text", [HYBRID, KUBERAY], ids=["launcher", "kuberay"])
@pytest.mark.parametrize("now", [r"\g<1>\g<2>300", r"SOMETHING_ELSE\g<2>660"], ids=["short", "default"])
def test_haproxy_must_not_stop_hard_before_a_request_ends(text: str, now: str) -> None:
    (fault,) = in_cluster(re.sub(r"(RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S)(\D+)660", now, text, count=1))
    assert "RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S" in fault
    assert "shorter than a request, 600 s and 30 s of draining" in fault


def test_a_cluster_must_let_replicas_drain() -> None:
    option = "    - -e RAY_SERVE_HAPROXY_HARD_STOP_AFTER_S=660\n"
    text = HYBRID.replace(option, option + "    - -e RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S=0\n")
    (fault,) = in_cluster(text)
    assert fault.startswith(f"line {line_with(text, 'run_options:')}: RAY_SERVE_DIRECT_INGRESS_MIN_DRAINING_PERIOD_S 0")


def test_a_pod_must_have_the_time_that_its_replicas_have() -> None:
    text = KUBERAY.replace("terminationGracePeriodSeconds: 1290", "terminationGracePeriodSeconds: 500", 1)
    (fault,) = in_cluster(text)
    assert fault.startswith(f"line {line_with(text, 'Seconds: 500')}: the pods have 500 s to end, replicas 630 s")


@pytest.mark.parametrize("text", [HYBRID, KUBERAY], ids=["launcher", "kuberay"])
@pytest.mark.parametrize("grace", ["--grace=300", "--other=630"])
def test_who_drains_must_know_the_longest_end(text: str, grace: str) -> None:
    changed = text.replace("--grace=630", grace, 1)
    (fault,) = in_cluster(changed)
    line = next(
        n for n, (old, new) in enumerate(zip(text.splitlines(), changed.splitlines(), strict=True), 1) if old != new
    )
    assert fault.startswith(f"line {line}: without --grace=630 or more")
