"""`filter` in /v1/search and in chat: it narrows, and what is wrong with it is named."""

from typing import Any

import pytest

from tests.app.world import browser, fake_services, question

DOCUMENTS = [
    {"id": "a", "text": "Replicas scale.", "metadata": {"source": "wiki", "tags": "faq, ops", "date": "2026-02-01"}},
    {"id": "b", "text": "Replicas die.", "metadata": {"source": "mail", "date": "2026-08-01T10:00:00Z"}},
    {"id": "c", "text": "Replicas wait."},
]


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        ({}, "abc"),
        ({"source": "wiki"}, "a"),
        ({"source": ["wiki", "mail"], "tag": None}, "ab"),
        ({"tag": "ops"}, "a"),
        ({"date": {"gte": "2026-08-01", "lte": "2026-08-01"}}, "b"),
        ({"date": {"lte": "2026-12-31"}, "source": "wiki"}, "a"),
        ({"tag": "nothing"}, ""),
    ],
)
async def test_a_filter_narrows_search_and_chat(wanted: dict[str, Any], ids: str) -> None:
    async with browser(fake_services()) as client:
        await client.post("/v1/documents", json={"documents": DOCUMENTS})
        found = await client.post("/v1/search", json={"query": "replicas", "filter": wanted})
        asked = await client.post("/v1/chat/completions", json=question("replicas", raglan={"filter": wanted}))
    assert sorted(hit["document_id"] for hit in found.json()["hits"]) == list(ids)
    assert sorted(hit["document_id"] for hit in asked.json()["raglan"]["passages"]) == list(ids)


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        ({"date": {"gte": "tomorrow"}}, "filter.date.gte"),
        ({"date": {"lte": "2026-02-30"}}, "filter.date.lte"),
        ({"date": {"gt": "2026-01-01"}}, "filter.date.gt"),
        ({"date": "2026-01-01"}, "filter.date"),
        ({"source": []}, "filter.source"),
        ({"source": 4}, "filter.source"),
        ({"tag": ["x", ""]}, "filter.tag[1]"),
        ({"tenant": "x"}, "filter.tenant"),
        ([], "filter"),
    ],
)
async def test_a_bad_filter_is_named(wanted: Any, param: str) -> None:
    async with browser(fake_services()) as client:
        found = await client.post("/v1/search", json={"query": "replicas", "filter": wanted})
        asked = await client.post("/v1/chat/completions", json=question(raglan={"filter": wanted}))
    assert (found.status_code, found.json()["error"]["param"]) == (400, param)
    assert (asked.status_code, asked.json()["error"]["param"]) == (400, f"raglan.{param}")
