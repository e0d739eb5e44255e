"""POST /v1/feedback, and the file it ends in."""

import asyncio
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from app import feedback_file
from app.errors import KeyReused
from app.feedback_file import MAX_ROW_BYTES, FileFeedback
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


RATING = {"trace_id": TRACE, "rating": "up", "comment": None, "user": "ann", "tenant": "t", "id": "k-1"}


async def test_a_rating_sent_again_under_its_key_is_stored_once_whichever_replica_it_reaches(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    replicas = [FileFeedback(path), FileFeedback(path)]
    await asyncio.gather(*(r.append({**RATING, "id": f"k-{n}"}) for n in range(30) for r in replicas for _ in range(2)))
    await FileFeedback(path).append(RATING)
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert sorted(row["id"] for row in rows) == sorted(f"k-{n}" for n in range(30))


async def test_what_is_remembered_of_a_rating_is_short_however_long_its_comment(tmp_path: Path) -> None:
    feedback = FileFeedback(tmp_path / "feedback.jsonl")
    long = {**RATING, "comment": "😀" * 2_000}
    for _ in range(2):
        await feedback.append(long)
    with pytest.raises(KeyReused):
        await feedback.append({**long, "comment": "😀" * 1_999})
    assert len((tmp_path / "feedback.jsonl").read_text().splitlines()) == 1
    assert [len(said) for said in feedback.kept.values()] == [16]


async def test_a_key_is_its_callers_own_and_says_one_thing(tmp_path: Path) -> None:
    feedback = FileFeedback(tmp_path / "feedback.jsonl")
    await feedback.append(RATING)
    await feedback.append({**RATING, "user": "bob"})
    with pytest.raises(KeyReused):
        await feedback.append({**RATING, "rating": "down"})
    await feedback.append({**RATING, "id": None, "rating": "down"})
    assert len((tmp_path / "feedback.jsonl").read_text().splitlines()) == 3


def moved_away(path: Path) -> None:
    path.rename(path.with_name("old.jsonl"))


def begun_anew(path: Path) -> None:
    moved_away(path)
    path.write_bytes(b"{}\n" * 999)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("lose", [moved_away, begun_anew, emptied])
async def test_a_rating_that_is_no_longer_in_the_file_is_not_remembered(
    lose: Callable[[Path], None], tmp_path: Path
) -> None:
    path = tmp_path / "feedback.jsonl"
    feedback = FileFeedback(path)
    for _ in range(2):
        await feedback.append(RATING)
    lose(path)
    await feedback.append({**RATING, "rating": "down"})
    assert json.loads(path.read_text().splitlines()[-1])["rating"] == "down"


async def test_only_the_newest_ratings_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feedback_file, "REMEMBERED", 2)
    feedback = FileFeedback(tmp_path / "feedback.jsonl")
    for id in ("k-1", "k-2", "k-3", "k-3"):
        await feedback.append({**RATING, "id": id})
    assert [id for _, _, id in feedback.kept] == ["k-2", "k-3"]


async def test_what_a_crash_left_of_a_row_takes_no_later_one_with_it(tmp_path: Path) -> None:
    path = tmp_path / "feedback.jsonl"
    path.write_bytes(b'{"id": "k-0", "tena')
    feedback = FileFeedback(path)
    for _ in range(2):
        await feedback.append(RATING)
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()[1:]] == ["k-1"]


async def test_the_key_is_a_header_and_a_wrong_one_is_named(tmp_path: Path) -> None:
    feedback = FileFeedback(tmp_path / "feedback.jsonl")
    body = {"trace_id": TRACE, "rating": "up"}
    async with browser(fake_services(feedback=feedback)) as client:
        keyed = {"Idempotency-Key": "a:1"}
        codes = [(await client.post("/v1/feedback", json=body, headers=keyed)).status_code for _ in range(2)]
        other = await client.post("/v1/feedback", json={**body, "rating": "down"}, headers=keyed)
        wrong = await client.post("/v1/feedback", json=body, headers={"Idempotency-Key": "no spaces"})
    assert codes == [201, 201]
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "idempotency-key")
    assert len((tmp_path / "feedback.jsonl").read_text().splitlines()) == 1
