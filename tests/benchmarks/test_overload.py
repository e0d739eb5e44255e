"""The open-loop client against a server of its own, and what its report says."""

import asyncio
import json
import os

import pytest
from aiohttp import web

from benchmarks.overload import judged, shown
from benchmarks.overload_load import Seen, run_open, summarise, undisturbed
from benchmarks.serving_load import Exchange

pytestmark = pytest.mark.world

TEXT = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]}\n\n'
DONE = b"data: [DONE]\n\n"


def answered(first: float, end: float = 1.0) -> Exchange:
    return Exchange(0, 0.0, end, [(first, TEXT), (end, DONE)], 200)


def refused(after: float) -> Exchange:
    return Exchange(0, 0.0, after, [(after, b'{"error": {}}')], 429, timing="total;dur=2.5")


def saw(*exchanges: Exchange) -> Seen:
    return Seen(exchanges, [0.0, 0.001, 0.004])


def test_goodput_counts_whole_answers_in_time_and_refusals_are_no_errors() -> None:
    seen = saw(answered(0.1), answered(0.9), refused(0.01), Exchange(0, 0.0, 1.0, [(0.1, TEXT)], 200))
    phase = summarise("flood", 2.0, 2.0, seen, ttft_s=0.5)
    assert (phase.requests, phase.refused_share, phase.goodput) == (4, 0.25, 0.5)
    assert phase.ttft is not None
    assert phase.ttft.p50 == pytest.approx(500)
    assert phase.refusal is not None
    assert phase.refusal.p95 == pytest.approx(10)
    assert phase.inside is not None
    assert phase.inside.p95 == pytest.approx(2.5)
    assert (phase.lag.p50, phase.worst_lag_ms) == (1.0, 4.0)
    assert phase.errors == ("the answer broke off",)


def test_a_phase_without_refusals_or_answers_is_shown() -> None:
    calm = summarise("calm", 1.0, 1.0, saw(answered(0.2)), 1.0)
    flood = summarise("flood", 3.0, 1.0, saw(answered(0.3), refused(0.02)), 1.0)
    none = summarise("flood", 3.0, 1.0, saw(refused(0.02)), 1.0)
    assert "1.50 (aim: 1.5)" in judged([calm, flood])
    assert "20.0 ms (aim: 50), 2.5 ms of them in the server" in judged([calm, flood])
    assert ": - (aim: 1.5)" in judged([calm, none])
    assert shown([calm, none]).count("| -") + shown([calm, none]).count("   - |") >= 2


async def test_requests_come_at_their_rate_however_slow_the_answers_are() -> None:
    open_now = most = 0

    async def slow(request: web.Request) -> web.Response:
        nonlocal open_now, most
        assert json.loads(await request.text())["n"] in (0, 1)
        open_now += 1
        most = max(most, open_now)
        await asyncio.sleep(0.5)
        open_now -= 1
        return web.Response(body=TEXT + DONE)

    app = web.Application()
    app.router.add_post("/", slow)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        seen = await run_open(f"http://127.0.0.1:{port}/", [{"n": 0}, {"n": 1}], rate=50, seconds=1, seed=1)
    finally:
        await runner.cleanup()
    assert 30 <= len(seen.exchanges) <= 75
    assert most > 10
    assert {e.status for e in seen.exchanges} == {200}
    assert len(seen.late) > 20


def test_the_client_is_an_ordinary_process_again_when_it_has_measured() -> None:
    with undisturbed() as allowed:
        assert (os.sched_getscheduler(0) == os.SCHED_RR) == allowed
    assert os.sched_getscheduler(0) == os.SCHED_OTHER
