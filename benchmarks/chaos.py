"""What clients see while replicas, nodes and the head die: steady traffic through the whole graph, a fault a minute.

    tests/isolate.sh python -m benchmarks.chaos [--seconds-per-fault 60] [--engine fake|vllm]

A head and two workers run on this machine, each in a network of its own. The engine is a fake one by default, which
streams quotes of its evidence through the same deployment: two cores cannot carry vLLM twice beside the rest.
"""

import argparse
import asyncio
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.chaos_answers import found
from benchmarks.chaos_client import Client, client
from benchmarks.chaos_cluster import WORKERS, Cluster, cluster
from benchmarks.chaos_faults import Fault, faults
from benchmarks.chaos_judge import UNDONE, Kept, Window, aims, judged, rows, shown
from benchmarks.chaos_notes import note, word
from benchmarks.chaos_profile import PORT, WRITER, profile
from benchmarks.chaos_traffic import MIX, Traffic, now
from benchmarks.serving import INDEX, SHORT, index, machine
from benchmarks.serving_process import busy_percent
from benchmarks.serving_servers import ROOT

LOGS = ROOT / "var" / "chaos-logs"
START_S = 300.0
POLL_S = 1.0
LONGEST_S = 360.0
"""How long doing a fault may take; a rolling update is done when every replica was replaced."""
LAST_S = 60.0
"""How long the application may take after the last window to be whole, before what is kept is looked at."""


def main() -> int:
    """Run, print the table and the aims, write the JSON; status 1 when an aim is missed."""
    args = parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the machines are switched off then, too
    busy = busy_percent()
    with tempfile.TemporaryDirectory(prefix="rc-", dir=SHORT, ignore_cleanup_errors=True) as folder:
        report = asyncio.run(run(Path(folder), args))
    found_rows, reached = report["rows"], report["aims"]
    print(f"\n{shown(found_rows)}\n\n{judged(reached)}")
    written = {
        "machine": {**machine(), "busy_percent": busy},
        **report,
        "rows": [asdict(r) for r in found_rows],
        "aims": [asdict(a) for a in reached],
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    outcomes = [json.dumps(asdict(outcome)) for outcome in written.pop("outcomes")]
    args.out.with_suffix(".jsonl").write_text("\n".join([*outcomes, ""]))
    args.out.write_text(json.dumps(written, indent=2) + "\n")
    print(f"\nJSON: {args.out}; every request: {args.out.with_suffix('.jsonl')}; logs: {LOGS}")
    return 0 if all(aim.met for aim in reached) else 1


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--seconds-per-fault", type=float, default=60)
    out.add_argument("--faults", default="", help="their names, separated by commas; all of them when left out")
    out.add_argument("--rate", type=float, default=sum(MIX.values()), help="requests a second")
    out.add_argument("--engine", choices=("fake", "vllm"), default="fake")
    out.add_argument("--single", default="", help="what gets one replica instead of two, as in Guard,Validator")
    out.add_argument("--seed", type=int, default=0)
    out.add_argument("--out", type=Path, default=ROOT / "var" / "bench" / "chaos.json")
    return out


async def run(folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """The whole run on a cluster of its own."""
    index()
    shutil.copytree(INDEX, folder / "index")
    config = profile(folder, args.engine, args.single.split(","))
    with cluster(folder, args.seed) as made:
        try:
            await start(made, config)
            return await measured(made, config, folder, args)
        finally:
            keep_logs(folder)


async def start(made: Cluster, config: dict[str, Any]) -> None:
    """Deploy and wait until everything runs. Raises TimeoutError."""
    async with asyncio.timeout(START_S):
        while True:
            try:
                await made.deploy(config)
                break
            except OSError:
                await asyncio.sleep(POLL_S)
        while missing := await made.missing():
            print(f"  waiting for {', '.join(missing)}", flush=True)
            await asyncio.sleep(POLL_S * 3)


async def measured(made: Cluster, config: dict[str, Any], folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    """Traffic and faults, and what is there afterwards."""
    async with client(WORKERS, PORT) as asking:
        traffic = Traffic(asking, args.seed)
        unknown = await traffic.learn()
        if unknown:
            raise RuntimeError(f"no answer that can be checked: {', '.join(unknown)}")
        stop = asyncio.Event()
        sending = asyncio.create_task(traffic.run(args.rate, stop))
        try:
            windows = await suffered(made, chosen(faults(made, config), args.faults), args.seconds_per_fault)
        finally:
            stop.set()
            await sending
        await settled(made, now(), LAST_S)
        kept = await looked_after(asking, traffic, folder / "feedback.jsonl")
    found_rows = rows(windows, traffic.outcomes)
    seconds = windows[-1].ended - windows[0].began
    return {
        "engine": args.engine,
        "rate": args.rate,
        "seconds": seconds,
        "unsent": traffic.unsent,
        "failovers": sum(outcome.failovers for outcome in traffic.outcomes),
        "windows": [asdict(window) for window in windows],
        "outcomes": traffic.outcomes,
        "rows": found_rows,
        "kept": asdict(kept),
        "aims": aims(found_rows, kept, seconds),
    }


def chosen(all_faults: Sequence[Fault], names: str) -> list[Fault]:
    """The faults of these names. Raises ValueError for one that there is not."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := set(wanted) - {fault.name for fault in all_faults}:
        raise ValueError(f"--faults: there is no {', '.join(sorted(unknown))}")
    return [fault for fault in all_faults if not wanted or fault.name in wanted]


async def suffered(made: Cluster, todo: Sequence[Fault], seconds: float) -> list[Window]:
    """A window without a fault, then one for each, which lasts until the fault is done or LONGEST_S are over."""
    began = now()
    print(f"  no fault for {seconds:g} s", flush=True)
    await asyncio.sleep(seconds)
    windows = [Window("none", began, now(), whole_s=0.0)]
    for fault in todo:
        began = now()
        print(f"  {fault.name}", flush=True)
        try:
            async with asyncio.timeout(LONGEST_S):
                detail = await fault.do()
        except TimeoutError:
            detail = UNDONE
        whole_s = await settled(made, began, seconds)
        await asyncio.sleep(max(0.0, began + seconds - now()))
        windows.append(Window(fault.name, began, now(), detail, whole_s))
    return windows


async def settled(made: Cluster, since: float, within_s: float) -> float | None:
    """Seconds from `since` until every replica ran; None when that took longer than `within_s`."""
    while True:
        if not await made.missing():
            return round(now() - since, 1)
        if now() > since + within_s:
            return None
        await asyncio.sleep(POLL_S)


async def looked_after(asking: Client, traffic: Traffic, file: Path) -> Kept:
    """Ask for every document that was stored, and count every rating."""
    reply = await asking.ask(WRITER, "GET", "/v1/documents")
    if reply.status != 200:
        raise RuntimeError(f"the documents cannot be listed at the end: {reply.status} {reply.broken}")
    lost, back = traffic.notes.faults([document["id"] for document in json.loads(reply.body)["data"]])
    unfindable = []
    for n in traffic.notes.stored:
        query = {"query": f"Who writes the log of {word(n)}?"}
        if note(n)["id"] not in found(await asking.ask(WRITER, "POST", "/v1/search", query)):
            unfindable.append(note(n)["id"])
    missing, doubled = await asyncio.to_thread(traffic.ratings.faults, file)
    return Kept(
        documents=len(traffic.notes.stored),
        lost=tuple(lost),
        unfindable=tuple(unfindable),
        back=tuple(back),
        ratings=len(traffic.ratings.kept),
        missing=tuple(missing),
        doubled=tuple(doubled),
    )


def keep_logs(folder: Path) -> None:
    """Copy what the machines and Serve said to LOGS, where it outlives the run."""
    shutil.rmtree(LOGS, ignore_errors=True)
    for log in (*folder.glob("*/log"), *folder.glob("*/ray/session_2*/logs/serve/*.log")):
        name = log.relative_to(folder)
        kept = LOGS / name.parts[0] / name.name
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(log, kept)


if __name__ == "__main__":
    sys.exit(main())
