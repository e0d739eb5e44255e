"""A closed-loop client: so many callers, each asking again as soon as its answer has ended.

It shares the machine with what it measures, so it only notes bytes and times; they are read after the load.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp

REQUEST_TIMEOUT_S = 180.0


@dataclass(slots=True)
class Exchange:
    """One request as it went. `reads` are what came and when; times are `time.perf_counter()`'s.

    `timing` is the response's `Server-Timing`.
    """

    case: int
    started: float
    ended: float = 0.0
    reads: list[tuple[float, bytes]] = field(default_factory=list)
    status: int = 0
    error: str = ""
    timing: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an exchange says. Times are seconds since the request; `first` and `last` are of events that hold text.

    `steps` counts those events. `engine` holds the engine's own metrics where the server passes them on, `timings`
    Raglan's stages, both in milliseconds. `error` is empty when the answer is whole.
    """

    case: int
    text: str
    first: float
    last: float
    end: float
    steps: int
    prompt_tokens: int
    output_tokens: int
    engine: dict[str, float]
    timings: dict[str, float]
    error: str


@dataclass(frozen=True, slots=True)
class Load:
    """One measured stretch: its answers and how long it took, in seconds."""

    answers: tuple[Answer, ...]
    seconds: float


async def run_load(url: str, bodies: Sequence[dict[str, Any]], concurrency: int, requests: int) -> Load:
    """Ask `requests` times at `url`, taking `bodies` in turn, with `concurrency` callers at a time."""
    turns = iter(range(requests))
    encoded = [json.dumps(body).encode() for body in bodies]
    done: list[Exchange] = []
    timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as session:

        async def caller() -> None:
            for turn in turns:
                case = turn % len(encoded)
                done.append(await exchange(session, url, encoded[case], case))

        begin = time.perf_counter()
        await asyncio.gather(*(caller() for _ in itertools.repeat(None, concurrency)))
        seconds = time.perf_counter() - begin
    return Load(tuple(read(e) for e in done), seconds)


async def exchange(session: aiohttp.ClientSession, url: str, body: bytes, case: int, key: str = "") -> Exchange:
    """Ask once, with an API key if there is one, and note what comes; a failure is noted, not raised."""
    headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
    seen = Exchange(case, time.perf_counter())
    try:
        async with session.post(url, data=body, headers=headers) as response:
            seen.status = response.status
            seen.timing = response.headers.get("Server-Timing", "")
            async for data in response.content.iter_any():
                seen.reads.append((time.perf_counter(), data))
    except (aiohttp.ClientError, TimeoutError) as error:
        seen.error = type(error).__name__
    seen.ended = time.perf_counter()
    return seen


def read(seen: Exchange) -> Answer:
    """Read the server-sent events; each came when the read that ended it did."""
    texts: list[str] = []
    times: list[float] = []
    usage: dict[str, Any] = {}
    engine: dict[str, float] = {}
    timings: dict[str, float] = {}
    error = seen.error or ("" if seen.status == 200 else f"HTTP {seen.status}")
    whole = False
    for at, data in events(seen):
        if data == "[DONE]":
            whole = True
            continue
        event = json.loads(data)
        if "error" in event:
            error = error or str(event["error"].get("code") or event["error"].get("type"))
        for choice in event.get("choices", ()):
            if text := choice["delta"].get("content"):
                texts.append(text)
                times.append(at - seen.started)
        usage = event.get("usage") or usage
        engine = event.get("metrics") or engine
        timings = (event.get("raglan") or {}).get("timings", timings)
    end = seen.ended - seen.started
    return Answer(
        case=seen.case,
        text="".join(texts),
        first=times[0] if times else end,
        last=times[-1] if times else end,
        end=end,
        steps=len(times),
        prompt_tokens=usage.get("prompt_tokens", 0),
        output_tokens=usage.get("completion_tokens", 0),
        engine={name: value for name, value in engine.items() if isinstance(value, int | float)},
        timings=timings,
        error=error or ("" if whole and texts else "the answer broke off"),
    )


def events(seen: Exchange) -> list[tuple[float, str]]:
    """The `data:` of each server-sent event with the time of the read that ended it."""
    found = []
    rest = b""
    for at, data in seen.reads:
        *lines, rest = (rest + data).split(b"\n\n")
        found += [(at, line[6:].decode()) for line in lines if line.startswith(b"data: ")]
    return found
