"""`python -m deployments.run`: one machine's whole Raglan in the foreground or the background, with progress.

Starts Ray in this process, deploys a Serve YAML, waits for every deployment, and stops all of it at the end.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

import yaml

from deployments import leftovers
from deployments.ending import serve_faults
from deployments.settings import ROOT, Settings

START_TIMEOUT_S = 600
STOP_TIMEOUT_S = 60
ORPHANS_S = 5.0
PID_FILE = ROOT / "var" / "raglan.pid"
LOG_FILE = ROOT / "var" / "raglan.log"


def main() -> int:
    """Parse the command line; exit status 0 when what was asked for happened."""
    parser = argparse.ArgumentParser(prog="raglan", description="Run the whole of Raglan on this machine.")
    parser.add_argument("command", choices=("run", "up", "down"), help="foreground, background, or stop the latter")
    parser.add_argument("config", nargs="?", type=Path, default=ROOT / "cluster" / "local.yaml", help="a Serve YAML")
    parser.add_argument("--port", type=int, help="HTTP port, instead of the YAML's")
    args = parser.parse_args()
    if args.command == "down":
        return down()
    text = args.config.read_text()
    config = yaml.safe_load(text)
    faults = serve_faults(text, Settings.load(config["applications"][0]["args"]), draining_s=0)
    if faults:
        print("\n".join(f"{args.config}: {fault}" for fault in faults), file=sys.stderr)
        return 1
    if args.port:
        config["http_options"]["port"] = args.port
    if args.command == "up":
        return up(args.config, config["http_options"]["port"])
    return run(config)


def run(config: dict[str, Any]) -> int:
    """Deploy `config` on a Ray of our own and stay until a signal; then stop everything."""
    url = f"http://127.0.0.1:{config['http_options']['port']}"
    if taken(config["http_options"]["port"]):
        print(f"{url} is taken already: `make down` stops what `make up` started, or choose PORT=...", file=sys.stderr)
        return 1
    begin = time.monotonic()
    print("Starting Ray", flush=True)
    import ray
    from ray import serve
    from ray.serve._private import api
    from ray.serve.schema import ServeDeploySchema

    schema = ServeDeploySchema.model_validate(config)
    ray.init(
        address="local",
        namespace="serve",
        include_dashboard=True,
        dashboard_host="127.0.0.1",
        log_to_driver=False,
        configure_logging=False,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Ray has just put a handler of its own there
    try:
        client = api.serve_start(http_options=schema.http_options.model_dump(), proxy_location=schema.proxy_location)
        client.deploy_apps(schema, _blocking=False)
        if not watch(client, schema.applications[0].name, url, begin):
            return 1
        print(welcome(url, time.monotonic() - begin), flush=True)
        signal.pause()
    except KeyboardInterrupt:
        print("\nStopping", flush=True)
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ours = leftovers.descendants()
        files = leftovers.shared_files(ours)
        serve.shutdown()
        ray.shutdown()
        leftovers.clear(ours, files, ORPHANS_S)
    return 0


def watch(client: Any, application: str, url: str, begin: float) -> bool:
    """Print each deployment as it becomes ready; False, with the reason, when the application fails or is late.

    It asks by Serve's own `client`: `serve.status()` pickles every request router anew, on the cores that start them.
    """
    ready: set[str] = set()
    told: set[str] = set()
    while time.monotonic() - begin < START_TIMEOUT_S:
        state = client.get_serve_status(application)
        for deployment in state.deployment_statuses:
            name = deployment.name
            if deployment.status == "HEALTHY" and name not in ready:
                ready.add(name)
                print(f"  {name:<14} ready after {time.monotonic() - begin:5.1f} s", flush=True)
            if "failed" in deployment.message and deployment.message not in told:
                told.add(deployment.message)
                print(f"  {name}: {deployment.message.strip()}", file=sys.stderr, flush=True)
        if state.app_status.status == "DEPLOY_FAILED":
            print(f"The application cannot start: {state.app_status.message}", file=sys.stderr)
            return False
        if state.app_status.status == "RUNNING" and answers(url):
            return True
        time.sleep(0.25)
    print(f"The application was not ready after {START_TIMEOUT_S} s: see `serve status`", file=sys.stderr)
    return False


def answers(url: str) -> bool:
    """Whether every dependency behind `url` is ready."""
    try:
        with urllib.request.urlopen(f"{url}/readyz", timeout=5) as response:  # noqa: S310  our own address
            return bool(response.status == 200)
    except (HTTPException, OSError):
        return False


def taken(port: int) -> bool:
    """Whether something listens on the port already."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def welcome(url: str, seconds: float) -> str:
    """What a newcomer needs next."""
    body = '{"model": "quote", "messages": [{"role": "user", "content": "When does a deployment scale up?"}]}'
    return (
        f"\nRaglan is ready after {seconds:.0f} s. Chat at {url}/\n\n"
        f"  curl {url}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'\n\n"
        "Ctrl-C stops it."
    )


def up(config: Path, port: int) -> int:
    """Start `run` in a session of its own and wait until it answers."""
    if (pid := running()) is not None:
        print(f"Raglan runs already, as process {pid}")
        return 0
    LOG_FILE.parent.mkdir(exist_ok=True)
    with LOG_FILE.open("w") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", "deployments.run", "run", str(config), "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    PID_FILE.write_text(str(child.pid))
    seen = 0
    while child.poll() is None:
        text = LOG_FILE.read_text()
        print(text[seen:], end="", flush=True)
        seen = len(text)
        if "Raglan is ready" in text:
            print(f"\nIt runs in the background as process {child.pid}; `make down` stops it. Log: {LOG_FILE}")
            return 0
        time.sleep(0.25)
    PID_FILE.unlink(missing_ok=True)
    print(LOG_FILE.read_text()[seen:], file=sys.stderr)
    return 1


def running() -> int | None:
    """The background process's id, if it lives."""
    try:
        pid = int(PID_FILE.read_text())
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ValueError):
        return None
    return pid if b"deployments.run" in command else None


def down() -> int:
    """Stop what `up` started, by its process id."""
    pid = running()
    if pid is None:
        print("Raglan does not run in the background")
        return 0
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT_S
    while running() == pid and time.monotonic() < deadline:
        time.sleep(0.2)
    if running() == pid:
        os.killpg(pid, signal.SIGKILL)
    PID_FILE.unlink(missing_ok=True)
    print("Raglan is stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
