"""Machines on one kernel: each has an address, processes and shared memory of its own, and runs a Ray node.

They stand on a bridge of the calling process's network namespace. Call it under tests/isolate.sh: then nothing outside
can be reached, and nothing outlives the caller. The caller sees a machine's processes as ordinary ones, and to kill the
first of them is the loss of the machine. What it has on disk stays, so it can be started again.
"""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from deployments.settings import ROOT

BRIDGE = "raglan0"
OUTSIDE = "10.9.0.254"
"""The caller's own address on the bridge."""
BOOT = """mount -t tmpfs tmpfs /dev/shm && ip link set lo up || exit 1
until ip link set eth0 up 2>/dev/null; do sleep 0.02; done
ip addr add "$MACHINE/24" dev eth0 && exec "$@"
"""
PORT = 6379
OBJECTS = 80_000_000
GONE_S = 20
_cables = itertools.count()


def may_make_machines() -> bool:
    """Whether this process may make namespaces and connect them."""
    tools = all(shutil.which(name) for name in ("ip", "unshare", "nsenter"))
    trial = ["unshare", "--net", "--pid", "--fork", "true"]
    return tools and subprocess.run(trial, capture_output=True, check=False).returncode == 0


@contextmanager
def bridge() -> Iterator[None]:
    """What connects the machines to each other and to the caller."""
    tell("link", "set", "lo", "up")
    tell("link", "add", BRIDGE, "type", "bridge")
    try:
        tell("addr", "add", f"{OUTSIDE}/24", "dev", BRIDGE)
        tell("link", "set", BRIDGE, "up")
        yield
    finally:
        tell("link", "delete", BRIDGE)


def tell(*words: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *words], check=True, capture_output=True)


@dataclass
class Machine:
    """A machine at `address`, whose first process is `command`, in the Ray cluster whose head is at `cluster`.

    Raises RuntimeError when it is used while it is off.
    """

    address: str
    folder: Path
    command: Sequence[str]
    cluster: str
    variables: Mapping[str, str] = field(default_factory=dict)
    _top: subprocess.Popen[bytes] | None = None
    _first: psutil.Process | None = None

    def start(self) -> None:
        """Switch it on; its output is appended to `folder`/log."""
        self.folder.mkdir(parents=True, exist_ok=True)
        unshare = ["unshare", "--net", "--pid", "--mount", "--fork", "--kill-child=KILL", "--mount-proc", "sh", "-c"]
        with (self.folder / "log").open("ab") as log:
            self._top = subprocess.Popen(
                [*unshare, BOOT, "sh", *self.command], stdout=log, stderr=log, env=self.environment, cwd=ROOT
            )
        top = psutil.Process(self._top.pid)
        while not (children := top.children()):
            if self._top.poll() is not None:
                raise RuntimeError(f"{self.address} did not start: {self.log()}")
            time.sleep(0.01)
        self._first = children[0]
        cable = f"cable{next(_cables)}"
        tell("link", "add", cable, "type", "veth", "peer", "name", "eth0", "netns", str(self._first.pid))
        tell("link", "set", cable, "master", BRIDGE, "up")

    @property
    def environment(self) -> dict[str, str]:
        """Of every process of the machine: Ray and HAProxy keep their files in its folder."""
        proxy = self.folder / "proxy"
        return {
            **os.environ,  # noqa: TID251  a machine runs what its caller would
            "MACHINE": self.address,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",  # noqa: TID251
            "PYTHONPATH": str(ROOT),
            "RAY_TMPDIR": str(self.folder),
            "TMPDIR": str(self.folder),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_prestart_worker_first_driver": "0",
            "RAY_SERVE_HAPROXY_CONFIG_FILE_LOC": str(proxy / "haproxy.cfg"),
            "RAY_SERVE_HAPROXY_SOCKET_PATH": str(proxy / "admin.sock"),
            "RAY_SERVE_HAPROXY_METRICS_SOCKET_PATH": str(proxy / "metrics.sock"),
            "RAY_SERVE_HAPROXY_SERVER_STATE_BASE": str(proxy),
            "RAY_SERVE_HAPROXY_SERVER_STATE_FILE": str(proxy / "state"),
            **self.variables,
        }

    @property
    def on(self) -> bool:
        """Whether its first process runs."""
        return self._first is not None and self._first.is_running() and self._first.status() != psutil.STATUS_ZOMBIE

    @property
    def first(self) -> psutil.Process:
        """Its first process, as the caller sees it."""
        if self._first is None:
            raise RuntimeError(f"{self.address} is off")
        return self._first

    def processes(self, part: str = "") -> list[psutil.Process]:
        """Its living processes whose command line holds `part`, but for the first."""
        found = []
        for process in self.first.children(recursive=True):
            try:
                if part in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.NoSuchProcess:
                continue
        return found

    def begin(self, *command: str) -> subprocess.Popen[str]:
        """A command that runs on the machine beside what the caller does, with what it says to stdout and stderr."""
        inside = ["nsenter", "--target", str(self.first.pid), "--net", "--pid", "--mount", f"--wdns={ROOT}", *command]
        variables = {**self.environment, "RAY_ADDRESS": self.cluster}
        return subprocess.Popen(
            inside, env=variables, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, *command: str, timeout: float = 60) -> str:
        """What a command prints that runs on the machine; Ray's drivers find its cluster by themselves.

        Raises CalledProcessError when it fails, and shows its output.
        """
        process = self.begin(*command)
        try:
            said, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        if process.returncode:
            sys.stderr.write(said)
            raise subprocess.CalledProcessError(process.returncode, command)
        return said

    def end(self, number: int = signal.SIGKILL) -> None:
        """Send `number` to its first process and wait until the machine is off: SIGKILL is the loss of the machine."""
        if self._top is None:
            return
        try:
            self.first.send_signal(number)
            self._top.wait(GONE_S)
        except psutil.NoSuchProcess:
            self._top.wait()
        except subprocess.TimeoutExpired:
            self.first.kill()
            self._top.wait()
        self._top = self._first = None

    def log(self) -> str:
        """What Ray said to its terminal."""
        file = self.folder / "log"
        return file.read_text(errors="replace") if file.exists() else ""


@contextmanager
def on(*machines: Machine) -> Iterator[None]:
    """In the end switch off what is on; when something was raised, show the machines' logs first."""
    try:
        yield
    except BaseException:
        for machine in machines:
            sys.stderr.write(f"--- {machine.address}\n{machine.log()[-3000:]}\n")
        raise
    finally:
        for machine in machines:
            machine.end()


def head(address: str, folder: Path, storage: Path | None = None, *flags: str, **variables: str) -> Machine:
    """A Ray head that holds no replica and starts again when a process of it dies, as cluster/head.py keeps it.

    Its tables are on disk in `storage`, or in memory only. `flags` are those of `ray start`.
    """
    kept = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(storage)} if storage else {}
    command = [sys.executable, "-m", "cluster.head", f"--port={PORT}", f"--node-ip-address={address}", "--num-cpus=0"]
    if not any(flag.startswith("--include-dashboard") for flag in flags):
        command.append("--include-dashboard=false")
    command += [f"--object-store-memory={OBJECTS}", *flags]
    return Machine(address, folder, command, f"{address}:{PORT}", {**kept, **variables})


def worker(address: str, folder: Path, head_address: str, *flags: str, **variables: str) -> Machine:
    """A Ray worker; `flags` are those of `ray start`, such as --num-cpus and --labels."""
    cluster = f"{head_address}:{PORT}"
    command = ["ray", "start", "--block", f"--address={cluster}", f"--node-ip-address={address}"]
    return Machine(address, folder, [*command, f"--object-store-memory={OBJECTS}", *flags], cluster, variables)
