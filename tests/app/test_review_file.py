"""The review queue: one contract for the fake and the file, and what only the file can do wrong."""

import asyncio
import json
import logging
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from app.review_file import MAX_ROW_BYTES, FileReviews
from app.review_queue import ReviewQueue
from tests.app.world import FakeReviews

Make = Callable[[], ReviewQueue]


def flagged(key: str, **more: Any) -> dict[str, Any]:
    return {"kind": "flagged", "id": key, "tenant": "red", "groups": [], **more}


def decided(key: str, decision: str = "approve", **more: Any) -> dict[str, Any]:
    return {"kind": "decision", "id": key, "decision": decision, **more}


@pytest.fixture(params=["fake", "file"])
def queue(request: pytest.FixtureRequest, tmp_path: Path) -> ReviewQueue:
    return FakeReviews() if request.param == "fake" else FileReviews(tmp_path / "deep" / "reviews.jsonl", 100_000)


async def test_an_empty_queue(queue: ReviewQueue) -> None:
    listing = await queue.listing()
    assert (list(listing.entries), listing.full) == ([], False)
    assert await queue.read([]) == []


async def test_rows_are_listed_in_order_with_the_first_decision(queue: ReviewQueue) -> None:
    for row in (flagged("a"), flagged("b", groups=["ops"]), decided("b", "reject", note="x"), decided("b", "approve")):
        assert await queue.append(row)
    entries = (await queue.listing()).entries
    assert [(e.id, e.tenant, e.groups, e.status) for e in entries] == [
        ("a", "red", frozenset(), "open"),
        ("b", "red", frozenset({"ops"}), "rejected"),
    ]
    b, a = await queue.read(reversed(entries))
    assert (a.flagged["id"], a.decision, b.flagged["groups"]) == ("a", None, ["ops"])
    assert b.decision
    assert b.decision["note"] == "x"


async def test_a_decision_on_nothing_counts_for_nothing(queue: ReviewQueue) -> None:
    await queue.append(decided("a"))
    await queue.append(flagged("a"))
    assert [e.status for e in (await queue.listing()).entries] == ["open"]


@pytest.fixture(params=["fake", "file"])
def small(request: pytest.FixtureRequest, tmp_path: Path) -> ReviewQueue:
    """A queue with room for two rows."""
    row = len(json.dumps(flagged("a"))) + 1
    return FakeReviews(2) if request.param == "fake" else FileReviews(tmp_path / "reviews.jsonl", 2 * row)


async def test_a_full_queue_drops_what_is_new_and_takes_decisions(small: ReviewQueue) -> None:
    assert [await small.append(flagged(key)) for key in "abc"] == [True, True, False]
    assert await small.append(decided("a"))
    listing = await small.listing()
    assert ([(e.id, e.status) for e in listing.entries], listing.full) == ([("a", "approved"), ("b", "open")], True)


async def test_what_is_dropped_is_counted_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    queue = FileReviews(tmp_path / "reviews.jsonl", 0)
    with caplog.at_level(logging.ERROR):
        for n in range(150):
            await queue.append(flagged(str(n), question="a private matter"))
    assert queue.dropped == 150
    assert [r.getMessage().rpartition(": ")[2] for r in caplog.records] == ["1 rows dropped", "101 rows dropped"]
    assert "private" not in caplog.text


async def test_replicas_share_the_file(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    replicas = [FileReviews(path, 1_000_000) for _ in range(3)]
    await asyncio.gather(
        *(q.append(flagged(f"{n}-{i}", text="x" * n)) for n in range(40) for i, q in enumerate(replicas))
    )
    listings = [await q.listing() for q in replicas]
    assert len(listings[0].entries) == 120
    assert listings[0] == listings[1] == listings[2]
    await asyncio.gather(
        *(q.append(decided("0-0", d)) for q, d in zip(replicas, ("approve", "reject", "reject"), strict=True))
    )
    assert len({(await q.listing()).entries[0].status for q in replicas}) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_row_is_on_disk_before_append_returns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda file: synced.append(fsync(file)))
    await FileReviews(tmp_path / "f.jsonl", 1_000).append(flagged("a"))
    assert len(synced) == 1


async def test_a_row_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="bytes"):
        await FileReviews(tmp_path / "f.jsonl", 10**9).append(flagged("a", question="x" * MAX_ROW_BYTES))
    assert not (tmp_path / "f.jsonl").exists()


async def test_a_torn_row_takes_no_other_with_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "reviews.jsonl"
    queue = FileReviews(path, 100_000)
    await queue.append(flagged("a"))
    with path.open("ab") as file:
        file.write(b'{"kind": "flagged", "id": "tor')
    assert [e.id for e in (await queue.listing()).entries] == ["a"]
    await queue.append(flagged("b"))
    with caplog.at_level(logging.ERROR):
        assert [e.id for e in (await queue.listing()).entries] == ["a", "b"]
    assert "no row of a review queue at byte" in caplog.text
    assert [r.flagged["id"] for r in await queue.read((await queue.listing()).entries)] == ["a", "b"]


async def test_only_what_is_new_is_read(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    queue = FileReviews(path, 100_000)
    await queue.append(flagged("a"))
    before = await queue.listing()
    with path.open("r+b") as file:
        file.write(b"#")  # what was read before is not looked at again
    await queue.append(flagged("b"))
    assert [e.id for e in (await queue.listing()).entries] == [before.entries[0].id, "b"]


async def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    queue = FileReviews(path, 100_000)
    await queue.append(flagged("a"))
    old = (await queue.listing()).entries
    path.rename(tmp_path / "old.jsonl")
    assert (await queue.listing()).entries == ()
    assert await queue.read(old) == []
    await queue.append(flagged("b", padding="x" * 99))
    assert [e.id for e in (await queue.listing()).entries] == ["b"]
    assert await queue.read(old) == []


@pytest.mark.parametrize(
    ("begin_anew", "padding"),
    [(lambda path: path.rename(path.with_name("old.jsonl")), 999), (lambda path: path.write_bytes(b""), 0)],
    ids=["moved away and longer", "emptied"],
)
async def test_a_file_that_others_began_anew_is_read_from_its_beginning(
    begin_anew: Callable[[Path], object], padding: int, tmp_path: Path
) -> None:
    path = tmp_path / "reviews.jsonl"
    queue = FileReviews(path, 100_000)
    await queue.append(flagged("a", padding="x" * 99))
    await queue.listing()
    begin_anew(path)
    await queue.append(flagged("b", padding="x" * padding))
    entries = (await queue.listing()).entries
    assert [e.id for e in entries] == ["b"]
    assert [r.flagged["id"] for r in await queue.read(entries)] == ["b"]
