"""POST /v1/feedback, and the file it ends in."""

import asyncio
import json
import os
import stat
from pathlib import Path

import pytest

from app.feedback import MAX_ROW_BYTES, FileFeedback
from rag.errors import TooLarge
from tests.app.world import FakeFeedback, browser, fake_services

TRACE = "0123456789abcdef" * 2


async def test_a_rating_is_kept_with_its_time_and_request() -> None:
    feedback = FakeFeedback()
    async with browser(fake_services(feedback=feedback)) as client:
        body = {"trace_id": TRACE, "rating": "down", "comment": "wrong page"}
        response = await client.post("/v1/feedback", json=body, headers={"X-Request-Id": "r-1"})
    assert (response.status_code, response.json()["rating"]) == (201, "down")
    (row,) = feedback.rows
    assert (row["trace_id"], row["comment"], row["request_id"], row["tenant"]) == (
        TRACE,
        "wrong page",
        "r-1",
        "default",
    )
    assert str(row["time"]).endswith("+00:00")


async def test_rows_are_appended_whole_by_many_at_once(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "feedback.jsonl"
    one, two = FileFeedback(path), FileFeedback(path)
    await asyncio.gather(*(f.append({"n": n, "text": "x\n" * n}) for n in range(50) for f in (one, two)))
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(row["n"] for row in rows) == sorted([*range(50)] * 2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_row_is_on_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(fsync(file)))
    await FileFeedback(tmp_path / "f.jsonl").append({"a": 1})
    assert len(synced) == 1


async def test_a_row_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(TooLarge):
        await FileFeedback(tmp_path / "f.jsonl").append({"comment": "x" * MAX_ROW_BYTES})
    assert not (tmp_path / "f.jsonl").exists()
