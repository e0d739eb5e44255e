"""Measuring the serving benchmark's servers: each is started, loaded by callers and then at a rate, and ended."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, replace
from typing import Any

from benchmarks.overload_load import run_open
from benchmarks.serving_load import Load, read, run_load
from benchmarks.serving_process import cpu_seconds, running
from benchmarks.serving_prompts import Case
from benchmarks.serving_report import OPEN, level
from benchmarks.serving_servers import ROOT, SERVERS, Bench

OPEN_SHARE = 0.25
"""The open loop's rate, as a share of the most that the first server carried: the slowest carries about twice that."""
SEED = 1
Measured = dict[tuple[str, int], list[tuple[Load, float]]]
"""Loads with their CPU seconds, by server and concurrency (or OPEN)."""


@dataclass(frozen=True, slots=True)
class Loads:
    """What every server is asked: `requests` at each concurrency, and at `rate` a second; None: as `open_rate` says."""

    concurrency: Sequence[int]
    requests: int
    rounds: int
    rate: float | None


def measure(bench: Bench, cases: Sequence[Case], servers: Sequence[str], loads: Loads) -> Measured:
    """Every server at every concurrency and then at one rate, in each round."""
    found: Measured = defaultdict(list)
    order = [name for n in range(loads.rounds) for name in (servers if n % 2 == 0 else servers[::-1])]
    for n, name in enumerate(order, 1):
        print(f"[{n}/{len(order)}] {SERVERS[name].title}: starting", flush=True)
        done = measure_server(bench, name, cases, loads)
        loads = replace(loads, rate=loads.rate or open_rate(done))
        for concurrency, load, cpu in done:
            found[name, concurrency].append((load, cpu))
    return found


def measure_server(bench: Bench, name: str, cases: Sequence[Case], loads: Loads) -> list[tuple[int, Load, float]]:
    """Start the server, ask it every case once, and load it at each concurrency; a first wave is not counted.

    Last the requests come at one rate.
    """
    server = SERVERS[name]
    command = server.command(bench)
    url = f"{command.url}/v1/chat/completions"
    bodies = [server.body(bench, case) for case in cases]
    found: list[tuple[int, Load, float]] = []
    with running(command, ROOT) as process:

        def measured(concurrency: int, load: Coroutine[Any, Any, Load]) -> None:
            before = cpu_seconds(process)
            done = asyncio.run(load)
            found.append((concurrency, done, cpu_seconds(process) - before))
            pace = len(done.answers) / done.seconds
            print(f"    {level(concurrency):>13}: {len(done.answers)} requests, {pace:.1f}/s", flush=True)

        asyncio.run(run_load(url, bodies, 1, len(bodies)))
        for callers in loads.concurrency:
            asyncio.run(run_load(url, bodies, callers, callers))
            measured(callers, run_load(url, bodies, callers, max(loads.requests, 8 * callers)))
        rate = loads.rate or open_rate(found)
        measured(OPEN, at_rate(url, bodies, rate, loads.requests / rate))
    return found


def open_rate(measured: Sequence[tuple[int, Load, float]]) -> float:
    """OPEN_SHARE of the most requests/s among the loads of a server."""
    return OPEN_SHARE * max(len(load.answers) / load.seconds for callers, load, _ in measured if callers != OPEN)


async def at_rate(url: str, bodies: Sequence[dict[str, Any]], rate: float, seconds: float) -> Load:
    """Poisson arrivals for so long, at the same times for every server."""
    begin = time.perf_counter()
    seen = await run_open(url, bodies, rate, seconds, SEED)
    return Load(tuple(read(e) for e in seen.exchanges), time.perf_counter() - begin)
