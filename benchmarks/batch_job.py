"""What a batch job does to people who chat: their time to first text without it, beside it, and beside one unmarked.

    python -m benchmarks.batch_job [--rate 5] [--callers 32] [--seconds 60]

Chat requests come at a rate, whether or not those before are answered. The job's callers ask again as soon as they were
answered, and come back when a refusal tells them to. It starts Raglan itself; stop what else runs on the machine first.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from benchmarks.overload import Target, pair, serving
from benchmarks.overload_load import REFUSED, Phase, run_open, summarise, undisturbed
from benchmarks.serving import INDEX, SHORT, index, machine
from benchmarks.serving_load import REQUEST_TIMEOUT_S
from benchmarks.serving_process import busy_percent
from benchmarks.serving_report import table
from benchmarks.serving_servers import ROOT, Bench, environment


@dataclass(frozen=True, slots=True)
class Beside:
    """A chat load with what ran beside it: `done` and `refused` are the job's answers and refusals a second."""

    job: str
    chat: Phase
    done: float
    refused: float


def main() -> int:
    """Measure, print the table, write the JSON; status 1 when a chat answer failed."""
    args = parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server under test is ended then, too
    busy = busy_percent()
    profile = yaml.safe_load((ROOT / "cluster" / "local.yaml").read_text())
    with tempfile.TemporaryDirectory(prefix="rj-", dir=SHORT) as folder:
        bench = Bench(ROOT, profile, environment(), Path(folder), INDEX, max_tokens=128)
        index()
        with serving(bench, {"ttft_s": args.ttft_s}) as url:
            target = Target(url, args)
            target.warm_up()
            found = [measure(target, args, job) for job in ("none", "batch", "interactive")]
    print(shown(found))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    written = {"machine": {**machine(), "busy_percent": busy}, "loads": [asdict(one) for one in found]}
    args.out.write_text(json.dumps(written, indent=2) + "\n")
    print(f"\nJSON: {args.out}")
    return 1 if any(one.chat.errors for one in found) else 0


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--rate", type=float, default=5, help="chat requests a second")
    out.add_argument("--callers", type=int, default=32, help="callers of the job at a time")
    out.add_argument("--seconds", type=float, default=60, help="length of each load")
    out.add_argument("--ttft-s", type=float, default=1.5, help="admission.ttft_s")
    out.add_argument("--seed", type=int, default=0)
    out.add_argument("--out", type=Path, default=ROOT / "var" / "bench" / "batch_job.json")
    out.set_defaults(model="quote")
    return out


def measure(target: Target, args: argparse.Namespace, job: str) -> Beside:
    """The chat load beside that job."""
    print(f"    beside the job: {job}", flush=True)

    async def both() -> Beside:
        callers = args.callers if job != "none" else 0
        bodies = [{**body, "service_tier": "flex" if job == "batch" else "default"} for body in target.bodies]
        chat, (done, refused) = await asyncio.gather(
            run_open(target.url, target.bodies, args.rate, args.seconds, args.seed),
            run_job(target.url, bodies, callers, args.seconds),
        )
        phase = summarise(job, args.rate, args.seconds, chat, args.ttft_s)
        return Beside(job, phase, done / args.seconds, refused / args.seconds)

    with undisturbed():
        return asyncio.run(both())


async def run_job(url: str, bodies: Sequence[dict[str, Any]], callers: int, seconds: float) -> tuple[int, int]:
    """Ask with so many callers for so long; the whole answers and the refusals within that time."""
    done = refused = 0
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)

    async def caller(session: aiohttp.ClientSession, case: int) -> None:
        nonlocal done, refused
        while loop.time() < until:
            async with session.post(url, json=bodies[case % len(bodies)]) as response:
                await response.read()
                case += callers
            done += response.status == 200 and loop.time() < until
            if response.status == REFUSED:
                refused += 1
                await asyncio.sleep(min(float(response.headers["Retry-After"]), max(0.0, until - loop.time())))

    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        await asyncio.gather(*(caller(session, n) for n in range(callers)))
    return done, refused


def shown(found: Sequence[Beside]) -> str:
    """The loads as a Markdown table."""
    head = ("the job", "chat/s", "TTFT p50", "p95 ms", "chat refused", "job answers/s", "job refusals/s", "errors")
    lines = [
        [
            one.job,
            f"{one.chat.rate:.1f}",
            *pair(one.chat.ttft, 0),
            f"{one.chat.refused_share:.1%}",
            f"{one.done:.1f}",
            f"{one.refused:.1f}",
            str(len(one.chat.errors)),
        ]
        for one in found
    ]
    return table(head, lines)


if __name__ == "__main__":
    sys.exit(main())
