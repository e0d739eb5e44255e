"""`python -m cluster.hybrid check FILE`, `dry-run FILE [--demand ...]`, `status [--file FILE]`."""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from cluster.hybrid.cluster_file import BadClusterFile, read_cluster_file
from cluster.hybrid.config import HybridConfig, Workload
from cluster.hybrid.status import FILE, read_status, table

STATUS: Path = HybridConfig.model_fields["state_dir"].default / FILE


def parse_demand(text: str) -> Workload:
    """One item of a demand: `COUNTxRESOURCES[@LABELS]`, as in `6xGPU=1,CPU=2@site=cloud`, for argparse."""
    counted, _, labels = text.partition("@")
    number, _, resources = counted.rpartition("x")
    try:
        wanted = {key: float(value) for key, value in (pair.split("=") for pair in resources.split(","))}
        asked = dict(pair.split("=") for pair in labels.split(",") if pair)
        return Workload(name=text, resources=wanted, labels=asked, count=int(number or 1))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: expected COUNTxRESOURCE=AMOUNT,...[@LABEL=VALUE,...]") from None


def show_status(path: Path) -> int:
    """Print the table of a status file."""
    try:
        status = read_status(path)
    except FileNotFoundError:
        print(f"No status in {path.expanduser()}: no hybrid provider has run here", file=sys.stderr)
        return 1
    print("\n".join(table(status, time.time())))
    return 0


def show_plan(path: Path, demand: Sequence[Workload], status: Path | None) -> int:
    """Print what would be launched for a demand, or for the file's own workloads."""
    from cluster.hybrid.dry_run import lines, plan

    file = read_cluster_file(path)
    pools = read_status(status).pools.values() if status else ()
    room = {kind: most - pool.nodes.get(kind, 0) for pool in pools for kind, most in pool.most.items()}
    made = plan(file, demand or file.provider.workloads, room)
    print("\n".join(lines(made)))
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status: 2 for a bad cluster file."""
    parser = argparse.ArgumentParser(prog="python -m cluster.hybrid")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="check a cluster file").add_argument("file", type=Path)
    dry = commands.add_parser("dry-run", help="print what would be launched")
    dry.add_argument("file", type=Path)
    dry.add_argument("--demand", type=parse_demand, nargs="+", default=[], help="as 6xGPU=1,CPU=2@site=cloud")
    dry.add_argument("--status", type=Path, help="a status file: what is full or set aside there is so here")
    commands.add_parser("status", help="print the status").add_argument("--file", type=Path, default=STATUS)
    given = parser.parse_args(arguments)
    try:
        if given.command == "status":
            return show_status(given.file)
        if given.command == "dry-run":
            return show_plan(given.file, given.demand, given.status)
        print(json.dumps({"pools": list(read_cluster_file(given.file).provider.pools)}))
    except BadClusterFile as bad:
        print(bad, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
