"""/v1/reviews: who may review what, paging, decisions that stay, and corrections as an evaluation set."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest

from app.auth import digest
from app.flagged import row
from app.review_file import FileReviews
from app.services import HttpConfig, KeyConfig, Services
from benchmarks.retrieval_sets import handbook
from tests.app.test_flagged import exchange
from tests.app.world import FakeReviews, browser, fake_services

REVIEWER, ASKER, OTHER, GROUPED = "rgl-rita", "rgl-ada", "rgl-otto", "rgl-gwen"
KEYS = HttpConfig(
    api_keys=(
        KeyConfig(name="rita", sha256=digest(REVIEWER), tenant="red", roles=("reviewer",)),
        KeyConfig(name="ada", sha256=digest(ASKER), tenant="red"),
        KeyConfig(name="otto", sha256=digest(OTHER), tenant="blue", roles=("reviewer",)),
        KeyConfig(name="gwen", sha256=digest(GROUPED), tenant="red", groups=("ops",), roles=("reviewer",)),
    )
)
LOCAL = HttpConfig(review_without_key=True)

NOBODYS = UUID(int=4)
"""The id of no exchange."""


def flagged(tenant: str = "red", groups: tuple[str, ...] = (), **more: Any) -> dict[str, Any]:
    made = row(exchange(), str)
    passages = [
        {"id": f"{d}#1", "document_id": d, "title": d, "url": f"https://a.invalid/{d}"} for d in ("docs/guard.md", "b")
    ]
    return {**made, "tenant": tenant, "groups": list(groups), "passages": passages, **more}


async def queue(*rows: dict[str, Any]) -> FakeReviews:
    made = FakeReviews()
    for r in rows:
        await made.append(r)
    return made


def reviewer(services: Services, key: str = REVIEWER) -> httpx.AsyncClient:
    client = browser(services)
    client.headers["Authorization"] = f"Bearer {key}"
    return client


async def test_a_flagged_exchange_is_shown_whole() -> None:
    asked = flagged()
    async with reviewer(fake_services(KEYS, reviews=await queue(asked))) as client:
        body = (await client.get("/v1/reviews")).json()
    (review,) = body["data"]
    hidden = {"kind", "tenant", "groups"}
    assert review == {k: v for k, v in asked.items() if k not in hidden} | {
        "object": "review",
        "status": "open",
        "decision": None,
    }
    assert (body["has_more"], body["full"]) == (False, False)
    assert body["counts"] == {"open": 1, "approved": 0, "corrected": 0, "rejected": 0}


@pytest.mark.parametrize(("method", "path"), [("GET", ""), ("GET", "/dataset"), ("POST", f"/{NOBODYS}")])
@pytest.mark.parametrize("config", [KEYS, HttpConfig()])
async def test_only_reviewers_review(method: str, path: str, config: HttpConfig) -> None:
    async with reviewer(fake_services(config), ASKER) as client:
        response = await client.request(method, f"/v1/reviews{path}", json={"decision": "approve"})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "reviewer_required")


async def test_without_keys_reviewing_is_a_setting_that_keys_overrule() -> None:
    async with browser(fake_services(LOCAL, reviews=await queue(flagged("default")))) as client:
        assert len((await client.get("/v1/reviews")).json()["data"]) == 1
    both = KEYS.model_copy(update={"review_without_key": True})
    async with browser(fake_services(both)) as client:
        assert (await client.get("/v1/reviews")).status_code == 401
        assert (await client.get("/v1/reviews", headers={"Authorization": f"Bearer {ASKER}"})).status_code == 403


async def test_other_tenants_and_groups_are_out_of_sight() -> None:
    mine, theirs, ops = flagged(), flagged("blue"), flagged(groups=("ops",))
    services = fake_services(KEYS, reviews=await queue(mine, theirs, ops))
    for key, seen in ((REVIEWER, [mine]), (OTHER, [theirs]), (GROUPED, [mine, ops])):
        async with reviewer(services, key) as client:
            body = (await client.get("/v1/reviews")).json()
            assert [r["id"] for r in body["data"]] == [r["id"] for r in seen]
            assert body["counts"]["open"] == len(seen)
            for r in (mine, theirs, ops):
                if r not in seen:
                    decided = await client.post(f"/v1/reviews/{r['id']}", json={"decision": "approve"})
                    after = await client.get("/v1/reviews", params={"after": r["id"]})
                    assert (decided.status_code, after.status_code) == (404, 404)
                    assert decided.json()["error"]["code"] == "review_not_found"


async def test_pages_are_bounded_and_go_on_behind_what_was_seen() -> None:
    rows = [flagged() for _ in range(5)]
    async with reviewer(fake_services(KEYS, reviews=await queue(*rows))) as client:
        first = (await client.get("/v1/reviews", params={"limit": 2, "status": "open"})).json()
        assert (len(first["data"]), first["has_more"]) == (2, True)
        last = first["data"][-1]["id"]
        await client.post(f"/v1/reviews/{last}", json={"decision": "approve"})
        rest = (await client.get("/v1/reviews", params={"limit": 100, "status": "open", "after": last})).json()
        assert ([r["id"] for r in rest["data"]], rest["has_more"]) == ([r["id"] for r in rows[2:]], False)
        approved = (await client.get("/v1/reviews", params={"status": "approved"})).json()
        assert [r["id"] for r in approved["data"]] == [last]
        assert approved["counts"] == {"open": 4, "approved": 1, "corrected": 0, "rejected": 0}


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "x"}, "limit"),
        ({"status": "lost"}, "status"),
        ({"after": "x"}, "after"),
    ],
)
async def test_a_wrong_parameter_is_named(params: dict[str, Any], param: str) -> None:
    async with browser(fake_services(LOCAL)) as client:
        response = await client.get("/v1/reviews", params=params)
    assert (response.status_code, response.json()["error"]["param"]) == (400, param)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"decision": "approve"}, "approved"),
        ({"decision": "reject", "note": "a false alarm"}, "rejected"),
        ({"decision": "correct", "correction": "Because of [1].", "pages": ["b", "b"]}, "corrected"),
    ],
)
async def test_a_decision_is_kept_and_may_be_repeated(body: dict[str, Any], status: str) -> None:
    asked = flagged()
    reviews = await queue(asked)
    async with reviewer(fake_services(KEYS, reviews=reviews)) as client:
        first = await client.post(f"/v1/reviews/{asked['id']}", json=body)
        again = await client.post(f"/v1/reviews/{asked['id']}", json=body)
        listed = (await client.get("/v1/reviews")).json()["data"][0]
    assert (first.status_code, first.json()) == (200, again.json())
    assert listed == first.json()
    kept = listed["decision"]
    assert (listed["status"], kept["reviewer"], kept["note"]) == (status, "rita", body.get("note"))
    assert (kept["correction"], kept["pages"]) == (body.get("correction"), ["b"] if "pages" in body else [])
    assert len(reviews.rows) == 2


async def test_a_second_decision_that_differs_is_refused() -> None:
    asked = flagged()
    path = f"/v1/reviews/{asked['id']}"
    async with reviewer(fake_services(KEYS, reviews=await queue(asked))) as client:
        await client.post(path, json={"decision": "approve"})
        for other in ({"decision": "reject"}, {"decision": "approve", "note": "x"}):
            refused = await client.post(path, json=other)
            assert refused.status_code == 409
            assert refused.json()["error"] | {"message": ""} == {
                "message": "",
                "type": "invalid_request_error",
                "param": "decision",
                "code": "already_decided",
            }


async def test_of_two_reviewers_at_once_the_first_is_kept() -> None:
    class Raced(FakeReviews):
        """Another replica's decision arrives between our look and our row."""

        async def append(self, row: Any) -> bool:
            if row["kind"] == "decision":
                await super().append({**row, "decision": "reject", "reviewer": "gwen"})
            return await super().append(row)

    reviews, asked = Raced(), flagged()
    await reviews.append(asked)
    async with reviewer(fake_services(KEYS, reviews=reviews)) as client:
        response = await client.post(f"/v1/reviews/{asked['id']}", json={"decision": "approve"})
        status = (await client.get("/v1/reviews")).json()["data"][0]["status"]
    assert (response.status_code, status) == (409, "rejected")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        ({}, "missing_required_parameter", "decision"),
        ({"decision": "maybe"}, "invalid_value", "decision"),
        ({"decision": "correct"}, "missing_required_parameter", "correction"),
        ({"decision": "correct", "correction": " "}, "invalid_value", "correction"),
        ({"decision": "correct", "correction": "x" * 4_001}, "invalid_value", "correction"),
        ({"decision": "correct", "correction": "x", "pages": ["a"] * 9}, "invalid_value", "pages"),
        ({"decision": "correct", "correction": "x", "pages": ["\n"]}, "invalid_value", "pages[0]"),
        ({"decision": "approve", "correction": "x"}, "unknown_parameter", "correction"),
        ({"decision": "approve", "note": "x" * 1_001}, "invalid_value", "note"),
        ({"decision": "approve", "note": 1}, "invalid_type", "note"),
        ({"decision": "approve", "reviewer": "eve"}, "unknown_parameter", "reviewer"),
    ],
)
async def test_a_wrong_decision_is_named(body: dict[str, Any], code: str, param: str) -> None:
    asked = flagged("default")
    async with browser(fake_services(LOCAL, reviews=await queue(asked))) as client:
        response = await client.post(f"/v1/reviews/{asked['id']}", json=body)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (400, code, param)


@pytest.mark.parametrize("id", [str(NOBODYS), "nothing", "%00", "x" * 500])
async def test_an_unknown_exchange(id: str) -> None:
    async with browser(fake_services(LOCAL)) as client:
        response = await client.post(f"/v1/reviews/{id}", json={"decision": "approve"})
    assert response.status_code == 404


async def test_decisions_are_masked_and_the_largest_fits(tmp_path: Path) -> None:
    reviews, asked = FileReviews(tmp_path / "reviews.jsonl", 10**6), flagged("default")
    await reviews.append(asked)
    body = {
        "decision": "correct",
        "correction": "hunter2" + "\U0001f600" * 3_990,
        "note": "hunter2" + "\U0001f600" * 990,
    }
    body |= {"pages": ["\U0001f600" * 512 for _ in range(8)]}
    async with browser(fake_services(LOCAL, reviews=reviews)) as client:
        assert (await client.post(f"/v1/reviews/{asked['id']}", json=body)).status_code == 200
        assert (await client.post(f"/v1/reviews/{asked['id']}", json=body)).status_code == 200
    assert "hunter2" not in (tmp_path / "reviews.jsonl").read_text()


async def test_corrections_are_an_evaluation_set(tmp_path: Path) -> None:
    rows = [flagged(question=q) for q in ("Which checks block?", "Approved?", "Who wins?")]
    decisions = (
        {"decision": "correct", "correction": "Three do.", "pages": ["docs/guard.md"]},
        {"decision": "approve"},
        {"decision": "correct", "correction": "The handbook does not say."},
    )
    async with reviewer(fake_services(KEYS, reviews=await queue(*rows))) as client:
        for asked, body in zip(rows, decisions, strict=True):
            await client.post(f"/v1/reviews/{asked['id']}", json=body)
        whole = await client.get("/v1/reviews/dataset")
        first = await client.get("/v1/reviews/dataset", params={"limit": 1})
        rest = await client.get("/v1/reviews/dataset", params={"after": json.loads(first.text)["review"]})
    assert whole.headers["content-type"] == "application/x-ndjson"
    assert whole.text == first.text + rest.text
    found = [json.loads(line) for line in whole.text.splitlines()]
    assert found[0] == {
        "question": "Which checks block?",
        "pages": ["docs/guard.md"],
        "answer": "Three do.",
        "urls": ["https://a.invalid/docs/guard.md"],
        "earlier": [],
        "review": rows[0]["id"],
        "trace_id": rows[0]["trace_id"],
    }
    path = tmp_path / "corrections.jsonl"
    path.write_text(whole.text)
    suite = handbook(path)
    assert (suite.relevant, suite.unanswerable) == ({"1": {"docs/guard.md": 1}}, ("2",))


async def test_a_full_queue_is_told() -> None:
    reviews = FakeReviews(most=1)
    await reviews.append(flagged("default"))
    async with browser(fake_services(LOCAL, reviews=reviews)) as client:
        assert (await client.get("/v1/reviews")).json()["full"] is True
