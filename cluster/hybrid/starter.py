"""How Ray is started and ended on one host: over SSH, or as a process of this machine."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from cluster.hybrid.config import Ssh

Run = Callable[[Sequence[str], float], tuple[int, str]]
"""Runs a command for at most so many seconds; returns its exit status and what it printed."""

ENDING_S, GRACE_S = 5.0, 0.1
ORPHAN = 'setsid "$@" >>"$0" 2>&1 & echo $!'
"""Starts a command that is nobody's child, so that it outlives a restart, and prints its number."""


class StartFailed(Exception):
    """Ray did not start, or did not end, on a host; the text says why."""


class Starter(Protocol):
    """Starts and ends Ray on a host; `instance` is the node's id in the whole cluster."""

    def start(self, host: str, instance: str, environment: Mapping[str, str], command: str) -> None: ...

    def stop(self, host: str, instance: str) -> None: ...


def run(command: Sequence[str], timeout_s: float) -> tuple[int, str]:
    """The real `Run`: output is merged, a command that takes too long is killed and reported as status 124."""
    try:
        done = subprocess.run(
            command,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout_s,
        )
    except subprocess.TimeoutExpired:
        return 124, f"no end after {timeout_s:g} s"
    except OSError as error:
        return 127, str(error)
    return done.returncode, done.stdout.decode(errors="replace")


class SshStarter:
    """Runs the start and stop commands on the host over SSH, without ever asking for a password."""

    def __init__(self, ssh: Ssh, stop_command: str, runner: Run = run):
        self._ssh, self._stop, self._run = ssh, stop_command, runner

    def start(self, host: str, instance: str, environment: Mapping[str, str], command: str) -> None:
        exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in environment.items())
        self._remote(host, exports + command)

    def stop(self, host: str, instance: str) -> None:
        self._remote(host, self._stop)

    def _remote(self, host: str, command: str) -> None:
        ssh = self._ssh
        key = ["-i", str(ssh.key.expanduser())] if ssh.key else []
        options = ["BatchMode=yes", "StrictHostKeyChecking=accept-new", f"ConnectTimeout={ssh.connect_timeout_s}"]
        flags = [part for option in options for part in ("-o", option)]
        target = f"{ssh.user}@{host}" if ssh.user else host
        shell = f"bash -lc {shlex.quote(command)}"
        status, output = self._run(["ssh", *flags, *key, "-p", str(ssh.port), target, shell], ssh.command_timeout_s)
        if status:
            lines = output.strip().splitlines()
            raise StartFailed(lines[-1][:200] if lines else f"ssh ended with status {status}")


class ProcessStarter:
    """Starts the command as a process group of this machine and remembers it in `folder`, for whoever comes after."""

    def __init__(self, folder: Path):
        self._folder = folder

    def start(self, host: str, instance: str, environment: Mapping[str, str], command: str) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        settings = [f"{name}={value}" for name, value in environment.items()]
        path = f'export PATH="{Path(sys.executable).parent}:$PATH"; exec {command}'
        log = self._folder / f"{host}.log"
        command_line = ["sh", "-c", ORPHAN, str(log), "env", *settings, "bash", "-c", path]
        done = subprocess.run(command_line, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        pid = int(done.stdout)
        self._file(instance).write_text(json.dumps({"pid": pid}))
        deadline = time.monotonic() + ENDING_S
        while not self._ours(pid, instance) and self._lives(pid) and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(GRACE_S)
        if not self._ours(pid, instance):
            self._file(instance).unlink()
            raise StartFailed(f"the command ended at once; see {log}")

    def stop(self, host: str, instance: str) -> None:
        file = self._file(instance)
        if not file.exists():
            return
        pid = int(json.loads(file.read_text())["pid"])
        if self._ours(pid, instance):
            self._signal(pid, signal.SIGTERM)
            deadline = time.monotonic() + ENDING_S
            while self._ours(pid, instance) and time.monotonic() < deadline:
                time.sleep(0.05)
        if self._group_lives(pid, instance):
            self._signal(pid, signal.SIGKILL)
        file.unlink(missing_ok=True)

    @staticmethod
    def _signal(group: int, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(group, number)

    def _file(self, instance: str) -> Path:
        return self._folder / f"{instance.replace('/', '_')}.json"

    def _ours(self, pid: int, instance: str) -> bool:
        """Whether the process is still the one that was started, and no later one with its number."""
        try:
            variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        except OSError:
            return False
        return f"RAY_CLOUD_INSTANCE_ID={instance}".encode() in variables

    @staticmethod
    def _lives(pid: int) -> bool:
        """Whether a process exists that is not a zombie."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
        except OSError:
            return False

    def _group_lives(self, pid: int, instance: str) -> bool:
        members = Path("/proc").glob("[0-9]*")
        return any(self._member(entry, pid) and self._ours(int(entry.name), instance) for entry in members)

    @staticmethod
    def _member(entry: Path, group: int) -> bool:
        try:
            return os.getpgid(int(entry.name)) == group
        except OSError:
            return False
