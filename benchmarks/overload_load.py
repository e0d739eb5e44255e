"""An open-loop client: requests come at a rate, whether or not those before are answered, and what became of them."""

import asyncio
import json
import os
import random
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.serving_load import REQUEST_TIMEOUT_S, Exchange, exchange, read
from benchmarks.serving_report import Spread, spread

REFUSED = 429
TOTAL = re.compile(r"\btotal;dur=([\d.]+)")
LOOK_S = 0.01
"""How often the client looks whether its own event loop is on time."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Requests at one rate, in requests/s. `goodput` are whole answers a second whose first text came in time.

    `ttft` is of the admitted, `refusal` the time to the end of a refusal and `inside` the server's part of it: from the
    request's arrival in the application to the response's start; None without any. `errors` are neither. `lag` is how
    late the client's own event loop was, `worst_lag_ms` the most.
    """

    name: str
    rate: float
    seconds: float
    requests: int
    refused_share: float
    goodput: float
    ttft: Spread | None
    refusal: Spread | None
    inside: Spread | None
    errors: tuple[str, ...]
    lag: Spread
    worst_lag_ms: float


@dataclass(frozen=True, slots=True)
class Seen:
    """What the client saw: the exchanges, and the seconds by which its event loop was late each time it looked."""

    exchanges: Sequence[Exchange]
    late: Sequence[float]


@contextmanager
def undisturbed() -> Iterator[bool]:
    """Whether this thread goes before every ordinary one meanwhile: the client must not wait for what it measures.

    Only who has the right to real-time scheduling may do so; elsewhere the client's lag tells what it costs.
    """
    allowed = False
    with suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
        allowed = True
    try:
        yield allowed
    finally:
        if allowed:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


async def look(late: list[float]) -> None:
    """Note again and again by how many seconds the event loop is late."""
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + LOOK_S
        await asyncio.sleep(LOOK_S)
        late.append(max(0.0, loop.time() - due))


async def run_open(url: str, bodies: Sequence[dict[str, Any]], rate: float, seconds: float, seed: int) -> Seen:
    """Ask at `url` for so long with Poisson arrivals, taking `bodies` in turn; wait until all have ended."""
    dice = random.Random(seed)
    encoded = [json.dumps(body).encode() for body in bodies]
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    loop = asyncio.get_running_loop()
    late: list[float] = []
    looking = asyncio.create_task(look(late))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        tasks: list[asyncio.Task[Exchange]] = []
        begin = due = loop.time()
        while due < begin + seconds:
            await asyncio.sleep(max(0.0, due - loop.time()))
            case = len(tasks) % len(encoded)
            tasks.append(asyncio.create_task(exchange(session, url, encoded[case], case)))
            due += dice.expovariate(rate)
        exchanges = await asyncio.gather(*tasks)
    looking.cancel()
    return Seen(exchanges, late)


def summarise(name: str, rate: float, seconds: float, seen: Seen, ttft_s: float) -> Phase:
    """What became of the requests of one phase; `ttft_s` is when a first text is late."""
    refused = [e for e in seen.exchanges if e.status == REFUSED]
    inside = [float(found[1]) / 1e3 for e in refused if (found := TOTAL.search(e.timing))]
    answers = [read(e) for e in seen.exchanges if e.status != REFUSED]
    whole = [a for a in answers if not a.error]
    return Phase(
        name=name,
        rate=rate,
        seconds=seconds,
        requests=len(seen.exchanges),
        refused_share=len(refused) / len(seen.exchanges),
        goodput=sum(a.first <= ttft_s for a in whole) / seconds,
        ttft=spread([a.first for a in whole]) if whole else None,
        refusal=spread([e.ended - e.started for e in refused]) if refused else None,
        inside=spread(inside) if inside else None,
        errors=tuple(sorted(a.error for a in answers if a.error)),
        lag=spread(seen.late),
        worst_lag_ms=max(seen.late) * 1e3,
    )
