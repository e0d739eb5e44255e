"""The firewall rule of the cluster files, in a real kernel: other machines find those ports shut, this one does not."""

import shutil
import subprocess
import sys

import pytest
import yaml

from deployments.settings import ROOT

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
MACHINES = """
set -e
soon() { for _ in $(seq 1000); do "$@" && return; sleep 0.01; done; return 1; }
apart() { [ "$(readlink /proc/$other/ns/net)" != "$(readlink /proc/$$/ns/net)" ]; }
listens() { grep -q ":$(printf %04X $1) 00000000:0000 0A" /proc/net/tcp; }
trap 'kill $other $servers' EXIT
ip link set lo up
unshare --net sleep 60 & other=$!
soon apart
ip link add here type veth peer name there netns $other
ip addr add 10.9.0.1/24 dev here && ip link set here up
nsenter --target $other --net sh -c 'ip addr add 10.9.0.2/24 dev there && ip link set there up'
sh -c "$FIREWALL"
for port in 8000 8404; do "$PYTHON" -m http.server --bind 0.0.0.0 $port >/dev/null 2>&1 & servers="$servers $!"; done
soon listens 8000
soon listens 8404
probe='import socket, sys
for port in (8000, 8404):
    try: socket.create_connection((sys.argv[2], port), 0.5).close(); print(sys.argv[1], port, "open")
    except OSError: print(sys.argv[1], port, "shut")'
"$PYTHON" -c "$probe" itself 127.0.0.1
"$PYTHON" -c "$probe" itself 10.9.0.1
nsenter --target $other --net "$PYTHON" -c "$probe" another 10.9.0.1
"""


def may_make_machines() -> bool:
    """Whether this process may make network namespaces and load rules into them."""
    tools = all(shutil.which(name) for name in ("nft", "ip", "unshare", "nsenter"))
    return tools and subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0


@pytest.mark.world
@pytest.mark.skipif(not may_make_machines(), reason="needs nftables and the right to make network namespaces")
def test_other_machines_cannot_reach_haproxys_statistics() -> None:
    command = yaml.safe_load((ROOT / "cluster" / "aws.yaml").read_text())["initialization_commands"][0]
    done = subprocess.run(
        ["unshare", "--net", "--fork", "--kill-child", "sh", "-c", MACHINES],
        env={
            "PATH": PATH,
            "PYTHON": sys.executable,
            "FIREWALL": command.removeprefix("sudo "),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.splitlines() == [
        "itself 8000 open",
        "itself 8404 open",
        "itself 8000 open",
        "itself 8404 open",
        "another 8000 open",
        "another 8404 shut",
    ], done.stderr
