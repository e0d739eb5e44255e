"""The keeper starts a head again, with longer pauses while it fails, and only one keeper runs."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from cluster import head
from deployments.settings import ROOT

FOR_EVER = "import time; time.sleep(60)"


class Enough(Exception):
    """Ends the keeper's loop."""


def pauses(command: str, number: int) -> list[float]:
    """The keeper's first pauses between the runs of a shell command."""
    found: list[float] = []

    def sleep(seconds: float) -> None:
        found.append(seconds)
        if len(found) == number:
            raise Enough

    with pytest.raises(Enough):
        head.keep(["sh", "-c", command], sleep)
    return found


def test_a_head_that_ends_starts_again_with_longer_pauses(tmp_path: Path) -> None:
    found = pauses(f"echo >> {tmp_path}/starts; exit 1", 7)
    assert found == [2, 4, 8, 16, head.LONGEST_PAUSE_S, head.LONGEST_PAUSE_S, head.LONGEST_PAUSE_S]
    assert len((tmp_path / "starts").read_text()) == 7


def test_after_a_head_that_ran_steadily_the_pauses_begin_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    ran_s = (1.0, 1.0, head.STEADY_S, head.STEADY_S + 1, 1.0)
    times = iter([time_s for length_s in ran_s for time_s in (0.0, length_s)])
    monkeypatch.setattr(head, "time", SimpleNamespace(monotonic=lambda: next(times)))
    assert pauses("exit 1", len(ran_s)) == [2, 4, 8, head.FIRST_PAUSE_S, 2]


def keeper(tmp_path: Path) -> "subprocess.Popen[bytes]":
    """A keeper of something that runs for ever, whose id is in a file."""
    code = (
        "import sys; from pathlib import Path; from cluster import head; import psutil;"
        f"Path(sys.argv[1]).write_text(f'{{psutil.Process().pid}} {{psutil.Process().create_time()}}');"
        f"head.keep([sys.executable, '-c', {FOR_EVER!r}])"
    )
    started = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "keeper")], cwd=ROOT)
    deadline = time.monotonic() + 20
    while not psutil.Process(started.pid).children() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.2)
    return started


def test_another_keeper_is_ended_with_its_head(tmp_path: Path) -> None:
    old = keeper(tmp_path)
    (child,) = psutil.Process(old.pid).children()
    head.end_another(tmp_path / "keeper")
    assert old.wait(10) == 0
    assert not child.is_running()


def test_a_keeper_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(head, "END_S", -4.5)
    deaf = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); {FOR_EVER}"
    with subprocess.Popen([sys.executable, "-c", deaf], stdout=subprocess.PIPE) as old:
        assert old.stdout is not None
        old.stdout.readline()
        (tmp_path / "keeper").write_text(f"{old.pid} {psutil.Process(old.pid).create_time()}")
        head.end_another(tmp_path / "keeper")
        assert old.wait(10) == -signal.SIGKILL


def test_another_process_with_the_keepers_id_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "keeper"
    with subprocess.Popen([sys.executable, "-c", FOR_EVER]) as other:
        file.write_text(f"{other.pid} 1.0")
        head.end_another(file)
        assert other.poll() is None
        other.kill()


@pytest.mark.parametrize("text", ["", "nonsense", "999999999 1.0"])
def test_a_file_without_a_living_keeper_is_no_matter(tmp_path: Path, text: str) -> None:
    (tmp_path / "keeper").write_text(text)
    head.end_another(tmp_path / "keeper")
    head.end_another(tmp_path / "none")
