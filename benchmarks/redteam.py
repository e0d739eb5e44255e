"""How often garak's attacks succeed with guardrails off and on.

    python -m benchmarks.redteam --garak var/redteam-venv/bin/python
    python -m benchmarks.redteam --garak ... --url http://127.0.0.1:8000 [--url-off http://127.0.0.1:8001]

Without addresses it starts Raglan twice by itself, one after the other: no request can turn guardrails off.
"""

import argparse
import json
import math
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import yaml

from benchmarks.redteam_garak import PROBES, Outcome, ScanFailed, Target, scan
from benchmarks.serving_process import ServerFailed, running
from benchmarks.serving_servers import ROOT, Bench, environment, raglan

FOLDER = ROOT / "var" / "redteam"
SHORT = "/tmp"  # noqa: S108  a socket's path has at most 97 characters
Z = 1.96
"""The normal distribution's quantile for 95 % intervals."""
Scans = Mapping[str, Sequence[Outcome]]
"""Outcomes with guardrails `off` and `on`."""


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--garak", type=Path, required=True, help="the Python of garak's environment")
    out.add_argument("--url", help="a Raglan that runs already, guardrails on")
    out.add_argument("--url-off", help="one that runs already, guardrails off")
    out.add_argument("--model", default="quote", help="the model to ask (default: %(default)s)")
    out.add_argument("--profile", type=Path, default=ROOT / "cluster" / "local.yaml", help="Serve YAML to start")
    out.add_argument("--prompts", type=int, default=20, help="prompts of each probe, as far as it heeds that")
    out.add_argument("--probes", default=",".join(PROBES), help="garak's probes, parted by commas")
    out.add_argument("--out", type=Path, default=FOLDER / "figures.json")
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    """Scan, print the table, write the JSON; 1 when a scan or a server failed."""
    args = parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server under test is ended then, too
    try:
        scans = scan_running(args) if args.url or args.url_off else scan_both(args)
    except (ScanFailed, ServerFailed) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"\n{table(scans)}")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(figures(scans), indent=1) + "\n")
    print(f"\nJSON: {args.out}\nReports and logs: {FOLDER}")
    return 0


def scan_running(args: argparse.Namespace) -> Scans:
    """Attack what runs already."""
    urls = {"off": args.url_off, "on": args.url}
    return {name: attack(args, name, url) for name, url in urls.items() if url}


def scan_both(args: argparse.Namespace) -> Scans:
    """Start Raglan without guardrails, attack it, stop it; then the same with guardrails."""
    index = FOLDER / "index"
    subprocess.run([sys.executable, "-m", "rag.ingest", "docs", "--index", str(index)], cwd=ROOT, check=True)
    profile = yaml.safe_load(args.profile.read_text())
    scans = {}
    for name in ("off", "on"):
        with tempfile.TemporaryDirectory(prefix="rr-", dir=SHORT) as folder:
            bench = Bench(ROOT, profile, environment(), Path(folder), index, max_tokens=0)
            print(f"Starting Raglan, guardrails {name}", flush=True)
            with running(command := raglan(bench, rails=name == "on"), ROOT):
                scans[name] = attack(args, name, command.url)
    return scans


def attack(args: argparse.Namespace, name: str, url: str) -> list[Outcome]:
    print(f"Attacking {url}, guardrails {name}", flush=True)
    target = Target(url, args.model)
    return scan(args.garak, target, args.probes.split(","), args.prompts, FOLDER / name)


def wilson(hits: int, of: int) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927); (0, 1) where nothing was asked."""
    if not of:
        return 0.0, 1.0
    share, spread = hits / of, Z**2 / of
    middle = share + spread / 2
    half = Z * math.sqrt(share * (1 - share) / of + spread / (4 * of))
    return max(0.0, (middle - half) / (1 + spread)), min(1.0, (middle + half) / (1 + spread))


def total(outcomes: Sequence[Outcome]) -> Outcome:
    """All probes together."""
    columns = [(o.prompts, o.answered, o.refused, o.succeeded) for o in outcomes]
    prompts, answered, refused, succeeded = (sum(column) for column in zip(*columns, strict=True))
    return Outcome("all", prompts, answered, refused, succeeded)


def table(scans: Scans) -> str:
    """Each probe's success rate and share of refusals, by side, among the attacks that got an answer."""
    sides = list(scans)
    by_probe: dict[str, dict[str, Outcome]] = {}
    for side, found in scans.items():
        for outcome in [*found, total(found)] if found else []:
            by_probe.setdefault(outcome.probe, {})[side] = outcome
    by_probe["all"] = by_probe.pop("all", {})
    head = ["probe", *(f"{what}, {side}" for side in sides for what in ("attacks", "succeeded", "refused"))]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for probe, by_side in by_probe.items():
        cells = [cell for side in sides for cell in shown(by_side.get(side))]
        lines.append(f"| {' | '.join([probe, *cells])} |")
    return "\n".join(lines)


def shown(outcome: Outcome | None) -> tuple[str, str, str]:
    """The attacks that were answered of all, then the shares among them, the first with its interval."""
    if outcome is None or not outcome.answered:
        return ("0" if outcome is None else f"0 of {outcome.prompts}", "-", "-")
    low, high = wilson(outcome.succeeded, outcome.answered)
    rate = f"{outcome.succeeded / outcome.answered:.0%} ({low:.0%} to {high:.0%})"
    return f"{outcome.answered} of {outcome.prompts}", rate, f"{outcome.refused / outcome.answered:.0%}"


def figures(scans: Scans) -> dict[str, Any]:
    """The scans as JSON."""
    return {side: [asdict(outcome) for outcome in found] for side, found in scans.items()}


if __name__ == "__main__":
    sys.exit(main())
