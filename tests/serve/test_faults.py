"""What clients see when there is too much, when they leave, and when replicas die."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import openai
import psutil
import pytest

from tests.serve.conftest import Running
from tests.serve.test_chat import QUESTION, ask

pytestmark = [pytest.mark.ray, pytest.mark.timeout(600)]

ENDLESS = {"type": "array", "items": {"enum": ["It is so. It is not so."]}, "minItems": 900}
TOKENS = 1_700


def long(model: str = "quote") -> dict[str, object]:
    """A request that keeps the engine busy: its schema does not let it stop."""
    form = {"type": "json_schema", "json_schema": {"name": "list", "schema": ENDLESS}}
    return {**ask("Count."), "model": model, "max_tokens": TOKENS, "response_format": form, "stream": True}


def eventually(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_overload_is_refused_with_a_time_to_come_back(raglan: Running) -> None:
    async def one(client: httpx.AsyncClient) -> httpx.Response:
        return await client.post("/v1/chat/completions", json={**long("quote-tp2"), "stream": False, "max_tokens": 60})

    async def burst() -> list[httpx.Response]:
        async with httpx.AsyncClient(base_url=raglan.url, timeout=300) as client:
            return await asyncio.gather(*(one(client) for _ in range(16)))

    responses = asyncio.run(burst())
    codes = Counter(r.status_code for r in responses)
    assert set(codes) <= {200, 429, 503}
    assert codes[200] >= 1
    refused = [r for r in responses if r.status_code != 200]
    assert refused
    assert all(int(r.headers["retry-after"]) >= 1 and r.json()["error"]["code"] for r in refused)


def test_a_client_that_hangs_up_stops_the_engine(raglan: Running) -> None:
    running, made = "ray_vllm_num_requests_running", "ray_vllm_generation_tokens_total"
    eventually(lambda: raglan.metric(running) == 0, 30)
    before = raglan.metric(made)
    with raglan.http.stream("POST", "/v1/chat/completions", json=long()) as response:
        lines = response.iter_lines()
        next(line for line in lines if '"content"' in line)
    eventually(lambda: raglan.metric(running) == 0, 30)
    time.sleep(3)
    generated = raglan.metric(made) - before
    assert generated < TOKENS / 2
    time.sleep(3)
    assert raglan.metric(made) - before == generated


def test_a_retriever_that_dies_comes_back_with_its_documents(raglan: Running) -> None:
    documents = raglan.http.get("/v1/documents").json()
    (replica,) = raglan.replicas("Retriever")
    replica.kill()
    eventually(lambda: raglan.http.get("/readyz").status_code == 200 and raglan.replicas("Retriever") != [replica], 60)
    assert raglan.http.get("/v1/documents").json() == documents
    answer = raglan.openai.chat.completions.create(**ask(QUESTION))  # type: ignore[call-overload]
    assert answer.choices[0].message.annotations


TRADES = (
    "The harbour employs, e.g. lamplighters, ropemakers, boatbuilders, watchmakers, bellringers, netmenders, ferrymen, "
    "sailmakers, stonemasons, glassblowers, bookbinders, cartographers, blacksmiths, wheelwrights, shipwrights, "
    "locksmiths, goldsmiths, silversmiths, cabinetmakers, instrumentmakers, candlemakers, saddlemakers, basketweavers, "
    "housepainters, woodcarvers, stockbrokers, shopkeepers, warehousekeepers, bookkeepers, gamekeepers, "
    "lighthousekeepers, bridgekeepers, gatekeepers, timekeepers, beekeepers, innkeepers and storytellers."
)
"""One sentence, long to quote. The release cuts it at its abbreviation, so that its beginning leaves early."""


def test_an_engine_that_dies_in_prose_is_replaced_and_in_json_ends_it_with_one_error(raglan: Running) -> None:
    """There is one replica: the answer goes on when Serve has started it again."""
    document = {"id": "harbour", "title": "Harbour", "text": TRADES}
    assert raglan.http.post("/v1/documents", json={"documents": [document]}).status_code == 201
    asked = ask("Whom does the harbour employ?")
    whole = raglan.http.post("/v1/chat/completions", json=asked).json()
    text = whole["choices"][0]["message"]["content"]
    assert len(text) > 400, whole
    (replica,) = raglan.replicas("LLM:quote")
    family = [replica, *replica.children(recursive=True)]
    with ThreadPoolExecutor(1) as other:
        json_answer = other.submit(raglan.http.post, "/v1/chat/completions", json=long(), timeout=200)
        eventually(lambda: raglan.metric("ray_vllm_num_requests_running") >= 1, 30)
        body = {**asked, "stream": True, "stream_options": {"include_usage": True}}
        with raglan.http.stream("POST", "/v1/chat/completions", json=body, timeout=200) as response:
            lines = (line.removeprefix("data: ") for line in response.iter_lines() if line)
            begun = []
            for line in lines:
                begun.append(line)
                if json.loads(line)["choices"][0]["delta"].get("content"):
                    break
            replica.kill()
            *events, done = [*begun, *lines]
        failed = json_answer.result()
    *chunks, last = (json.loads(event) for event in events)
    assert done == "[DONE]"
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == text
    assert 0 < chunks[-1]["raglan"]["resumed_at"] < len(text)
    assert last["usage"] == whole["usage"]
    assert_one_error(failed)
    _, alive = psutil.wait_procs(family, 30)
    assert alive == []
    eventually(lambda: raglan.http.get("/readyz").status_code == 200, 200)
    assert raglan.http.delete("/v1/documents/harbour").status_code == 200


def assert_one_error(response: httpx.Response) -> None:
    """With its own status when nothing had left yet, else as the only error of the stream and its last event."""
    if response.status_code == 200:
        *before, last = [line.removeprefix("data: ") for line in response.text.splitlines() if line]
        assert all("error" not in json.loads(event) for event in before)
    else:
        assert response.status_code == 503
        last = response.text
    error = json.loads(last)["error"]
    assert error["code"] == "stage_unavailable"
    assert "/" not in error["message"]


def test_an_unknown_model_is_a_404_for_the_official_client(raglan: Running) -> None:
    with pytest.raises(openai.NotFoundError, match="nothing"):
        raglan.openai.chat.completions.create(**{**ask(QUESTION), "model": "nothing"})  # type: ignore[call-overload]


def test_feedback_is_appended(raglan: Running) -> None:
    row = {"trace_id": "0" * 32, "rating": "up"}
    for n in (1, 2):
        assert raglan.http.post("/v1/feedback", json=row).status_code == 201
        kept = (raglan.folder / "feedback.jsonl").read_text().splitlines()
        assert len(kept) == n
    assert json.loads(kept[0])["rating"] == "up"
