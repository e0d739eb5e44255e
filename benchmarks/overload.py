"""What becomes of chat requests when too many come: goodput, the share refused, and the wait of those admitted.

    python -m benchmarks.overload [--url http://127.0.0.1:8000] [--seconds 120]

Measures the capacity, then sends requests at 80 % of it and at three times it, whether or not they are answered.
The client goes before the server on a shared machine where it may (it needs the right to real-time scheduling), and
prints how late its own event loop was: a refusal that waits for the client is no slow refusal.
Without `--url` it starts Raglan itself: first without admission, to learn the 95th percentile of the time to first text
at 80 %, then with 1.2 times that as `admission.ttft_s`. Stop what else runs on the machine first.
"""

import argparse
import asyncio
import copy
import json
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import yaml

from benchmarks.overload_load import Phase, run_open, summarise, undisturbed
from benchmarks.serving import INDEX, SHORT, index, machine
from benchmarks.serving_load import run_load
from benchmarks.serving_process import busy_percent, running
from benchmarks.serving_prompts import QUESTIONS
from benchmarks.serving_report import Spread, table
from benchmarks.serving_servers import ROOT, Bench, environment, raglan

CALM, FLOOD = 0.8, 3.0
SPARE = 1.2
"""The deadline, in 95th percentiles of the time to first text at CALM."""
MOST_LONGER, MOST_REFUSAL_MS = 1.5, 50.0
"""What is aimed at: the flood's 95th percentile by the calm one's, and the refusals' own."""


def main() -> int:
    """Measure, print the table, write the JSON; status 1 when an answer failed."""
    args = parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server under test is ended then, too
    busy = busy_percent()
    report = measure_running(args) if args.url else measure_own(args)
    phases: list[Phase] = report["phases"]
    print(shown(phases))
    print(judged(phases))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    written = {
        "machine": {**machine(), "busy_percent": busy},
        **report,
        "phases": [asdict(phase) for phase in phases],
    }
    args.out.write_text(json.dumps(written, indent=2) + "\n")
    print(f"\nJSON: {args.out}")
    return 1 if any(phase.errors for phase in phases) else 0


def parser() -> argparse.ArgumentParser:
    out = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    out.add_argument("--url", help="a running Raglan, taken as it is; it must know the handbook")
    out.add_argument("--model", default="quote", help="the model asked at --url")
    out.add_argument("--seconds", type=float, default=120, help="length of each phase")
    out.add_argument("--callers", type=int, default=32, help="callers at a time that the capacity is measured with")
    out.add_argument("--capacity", type=float, help="requests/s, instead of measuring them")
    out.add_argument("--ttft-s", type=float, help="admission.ttft_s, instead of 1.2 times the measured percentile")
    out.add_argument("--seed", type=int, default=0)
    out.add_argument("--out", type=Path, default=ROOT / "var" / "bench" / "overload.json")
    return out


def measure_running(args: argparse.Namespace) -> dict[str, Any]:
    """Both loads on the server at `args.url`."""
    target = Target(args.url, args)
    capacity = args.capacity or target.capacity()
    phases = [target.phase(name, capacity, args.ttft_s or float("inf")) for name in ("calm", "flood")]
    return {"capacity": capacity, "ttft_s": args.ttft_s, "phases": phases}


def measure_own(args: argparse.Namespace) -> dict[str, Any]:
    """The calm load without admission, then both with it."""
    profile = yaml.safe_load((ROOT / "cluster" / "local.yaml").read_text())
    with tempfile.TemporaryDirectory(prefix="ro-", dir=SHORT) as folder:
        bench = Bench(ROOT, profile, environment(), Path(folder), INDEX, max_tokens=128)
        index()
        capacity, ttft_s, phases = args.capacity, args.ttft_s, []
        if capacity is None or ttft_s is None:
            with serving(bench, {"enabled": False}) as url:
                target = Target(url, args)
                capacity = capacity or target.capacity()
                phases.append(target.phase("calm, no admission", capacity, float("inf")))
            ttft_s = ttft_s or deadline(phases[0])
        with serving(bench, {"ttft_s": ttft_s}) as url:
            target = Target(url, args)
            target.warm_up()
            phases += [target.phase(name, capacity, ttft_s) for name in ("calm", "flood")]
    return {"capacity": capacity, "ttft_s": ttft_s, "phases": phases}


def deadline(calm: Phase) -> float:
    """Seconds to allow to the first text. Raises ValueError when nothing was answered."""
    if calm.ttft is None:
        raise ValueError(f"no whole answer at {calm.rate:.1f} requests/s: {', '.join(calm.errors[:3])}")
    return round(SPARE * calm.ttft.p95 / 1e3, 2)


@contextmanager
def serving(bench: Bench, admission: dict[str, Any]) -> Iterator[str]:
    """Raglan with these settings of its admission; its address."""
    profile = copy.deepcopy(bench.profile)
    profile["applications"][0]["args"]["admission"] = admission
    command = raglan(replace(bench, profile=profile))
    print(f"Starting Raglan with admission {admission}", flush=True)
    with running(command, ROOT):
        yield command.url


class Target:
    """A running Raglan, and how it is to be asked."""

    def __init__(self, url: str, args: argparse.Namespace) -> None:
        self.url = f"{url}/v1/chat/completions"
        self.args = args
        self.bodies = [body(args.model, question) for question in QUESTIONS]

    def warm_up(self) -> None:
        """Ask everything once."""
        with undisturbed():
            asyncio.run(run_load(self.url, self.bodies, 1, len(self.bodies)))

    def capacity(self) -> float:
        """Answers a second with `args.callers` callers that ask again at once."""
        self.warm_up()
        callers = self.args.callers
        with undisturbed():
            load = asyncio.run(run_load(self.url, self.bodies, callers, 8 * callers))
        rate = sum(not answer.error for answer in load.answers) / load.seconds
        print(f"    capacity: {rate:.1f} answers/s", flush=True)
        return rate

    def phase(self, name: str, capacity: float, late_s: float) -> Phase:
        """One load for `args.seconds`."""
        rate = capacity * (FLOOD if name == "flood" else CALM)
        print(f"    {name}: {rate:.1f} requests/s for {self.args.seconds:g} s", flush=True)
        with undisturbed():
            seen = asyncio.run(run_open(self.url, self.bodies, rate, self.args.seconds, self.args.seed))
        return summarise(name, rate, self.args.seconds, seen, late_s)


def body(model: str, question: str) -> dict[str, Any]:
    """A streamed, greedy question."""
    asked = [{"role": "user", "content": question}]
    return {"model": model, "messages": asked, "max_tokens": 128, "temperature": 0, "stream": True}


def shown(phases: Sequence[Phase]) -> str:
    """The phases as a Markdown table."""
    columns = "load, requests/s, goodput/s, refused, TTFT p50, p95 ms, refusal p50, p95 ms, in the server p50, p95 ms"
    head = [*columns.split(", "), "client late p95", "worst ms", "errors"]
    lines = [
        [
            p.name,
            f"{p.rate:.1f}",
            f"{p.goodput:.1f}",
            f"{p.refused_share:.1%}",
            *pair(p.ttft, 0),
            *pair(p.refusal, 1),
            *pair(p.inside, 1),
            f"{p.lag.p95:.1f}",
            f"{p.worst_lag_ms:.1f}",
            str(len(p.errors)),
        ]
        for p in phases
    ]
    return table(head, lines)


def pair(of: Spread | None, digits: int) -> tuple[str, str]:
    """Median and 95th percentile as the table shows them."""
    return (f"{of.p50:.{digits}f}", f"{of.p95:.{digits}f}") if of else ("-", "-")


def judged(phases: Sequence[Phase]) -> str:
    """How the flood compares with the calm load before it, beside what is aimed at."""
    *_, calm, flood = phases
    longer = f"{flood.ttft.p95 / calm.ttft.p95:.2f}" if calm.ttft and flood.ttft else "-"
    return (
        f"\nTTFT p95 of the admitted at {FLOOD:g} times capacity by that at {CALM:.0%}: {longer} (aim: {MOST_LONGER})"
        f"\nRefusals, p95: {pair(flood.refusal, 1)[1]} ms (aim: {MOST_REFUSAL_MS:g}), "
        f"{pair(flood.inside, 1)[1]} ms of them in the server; the client was late by {flood.lag.p95:.1f} ms"
    )


if __name__ == "__main__":
    sys.exit(main())
