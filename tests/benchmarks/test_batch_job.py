"""The job's callers, against a server of our own, and what the report says."""

import asyncio
import json

import pytest
from aiohttp import web

from benchmarks.batch_job import Beside, run_job, shown
from benchmarks.overload_load import Seen, summarise
from benchmarks.serving_load import Exchange

pytestmark = pytest.mark.world


async def test_callers_ask_again_and_come_back_when_they_are_told_to() -> None:
    asked: list[float] = []

    async def every_third_is_refused(request: web.Request) -> web.Response:
        assert json.loads(await request.text())["n"] in (0, 1)
        asked.append(asyncio.get_running_loop().time())
        if len(asked) % 3 == 0:
            return web.Response(status=429, headers={"Retry-After": "1"})
        await asyncio.sleep(0.02)
        return web.Response(text="data")

    app = web.Application()
    app.router.add_post("/", every_third_is_refused)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        done, refused = await run_job(url, [{"n": 0}, {"n": 1}], callers=2, seconds=1.5)
        assert await run_job(url, [{"n": 0}], callers=0, seconds=0.1) == (0, 0)
    finally:
        await runner.cleanup()
    assert refused == len(asked) // 3 >= 2
    assert 0 < done <= len(asked) - refused
    assert len(asked) <= 12


def test_the_report_shows_chat_and_job_side_by_side() -> None:
    line = b'data: {"choices": [{"index": 0, "delta": {"content": "a"}, "finish_reason": null}]}\n\n'
    answered = Exchange(0, 0.0, 0.4, [(0.25, line), (0.4, b"data: [DONE]\n\n")], 200)
    chat = summarise("batch", 5.0, 1.0, Seen([answered], [0.0]), 1.0)
    row = shown([Beside("batch", chat, 7.5, 0.5)]).splitlines()[-1]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells == ["batch", "5.0", "250", "250", "0.0%", "7.5", "0.5", "0"]
