"""An open-loop client: requests come at a rate, whether or not those before are answered, and what became of them."""

import asyncio
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.serving_load import REQUEST_TIMEOUT_S, Exchange, exchange, read
from benchmarks.serving_report import Spread, spread

REFUSED = 429


@dataclass(frozen=True, slots=True)
class Phase:
    """Requests at one rate, in requests/s. `goodput` are whole answers a second whose first text came in time.

    `ttft` is of the admitted, `refusal` the time to the end of a refusal; None without any. `errors` are neither.
    """

    name: str
    rate: float
    seconds: float
    requests: int
    refused_share: float
    goodput: float
    ttft: Spread | None
    refusal: Spread | None
    errors: tuple[str, ...]


async def run_open(
    url: str, bodies: Sequence[dict[str, Any]], rate: float, seconds: float, seed: int
) -> list[Exchange]:
    """Ask at `url` for so long with Poisson arrivals, taking `bodies` in turn; wait until all have ended."""
    dice = random.Random(seed)
    encoded = [json.dumps(body).encode() for body in bodies]
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    loop = asyncio.get_running_loop()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:
        tasks: list[asyncio.Task[Exchange]] = []
        begin = due = loop.time()
        while due < begin + seconds:
            await asyncio.sleep(max(0.0, due - loop.time()))
            case = len(tasks) % len(encoded)
            tasks.append(asyncio.create_task(exchange(session, url, encoded[case], case)))
            due += dice.expovariate(rate)
        return await asyncio.gather(*tasks)


def summarise(name: str, rate: float, seconds: float, seen: Sequence[Exchange], ttft_s: float) -> Phase:
    """What became of the requests of one phase; `ttft_s` is when a first text is late."""
    refused = [e.ended - e.started for e in seen if e.status == REFUSED]
    answers = [read(e) for e in seen if e.status != REFUSED]
    whole = [a for a in answers if not a.error]
    return Phase(
        name=name,
        rate=rate,
        seconds=seconds,
        requests=len(seen),
        refused_share=len(refused) / len(seen),
        goodput=sum(a.first <= ttft_s for a in whole) / seconds,
        ttft=spread([a.first for a in whole]) if whole else None,
        refusal=spread(refused) if refused else None,
        errors=tuple(sorted(a.error for a in answers if a.error)),
    )
