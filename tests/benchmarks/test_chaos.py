"""A chaos run's own judgement: what counts as whole, which requests a fault is charged with, when an aim is missed."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from benchmarks import chaos_engine
from benchmarks.chaos_answers import Answer, Expected, quoted, streamed, whole
from benchmarks.chaos_client import Balancer, Reply
from benchmarks.chaos_engine import FakeEngine, reply, steps
from benchmarks.chaos_judge import UNDONE, Kept, Window, aims, rows
from benchmarks.chaos_notes import Notes, Ratings, note
from benchmarks.chaos_profile import DRAINING_S, changed, profile
from benchmarks.chaos_traffic import Outcome
from deployments.ending import serve_faults
from deployments.llm import pieces
from deployments.settings import Settings
from rag.begun import Begun

PASSAGES = ("Alpha is first. Beta follows it.", "Gamma is\nlast of all.")
TEXT = "Alpha is first. [1] Beta follows it. [1] Gamma is last of all. [2]"
PROMPT = "Evidence:\n[1] Alpha is first.\n[1] Beta follows it.\n[2] Gamma is last of all.\nQuestion: Which?"
KEPT = Kept(10, (), (), (), 10, (), ())


def events(*deltas: str, last: str = "[DONE]") -> bytes:
    chunks = [{"choices": [{"delta": {"content": text}}]} for text in deltas]
    report = {"choices": [], "raglan": {"passages": [{"text": text} for text in PASSAGES], "resumed_at": 4}}
    lines = [*map(json.dumps, (*chunks, report)), last]
    return "".join(f"data: {line}\n\n" for line in lines if line).encode()


@pytest.mark.parametrize(
    "text",
    [
        TEXT.replace("first. ", ""),
        TEXT.replace("Beta follows it. [1] ", ""),
        TEXT.replace("Alpha is first. [1] ", "Alpha is first. [1] " * 2),
        TEXT.replace("Alpha is first. [1] Beta follows it.", "Alpha is first. [1] Alpha is first."),
        TEXT.replace("follows", "follows follows"),
        TEXT.replace("[2]", "[3]"),
        f"{TEXT} And more",
        "",
    ],
)
def test_a_gap_or_a_repeat_is_no_whole_answer(text: str) -> None:
    assert quoted(TEXT, PASSAGES)
    assert not quoted(text, PASSAGES)


def test_the_ways_a_stream_can_end() -> None:
    error = json.dumps({"error": {"code": "stage_unavailable"}})
    done = streamed(Reply(200, events(TEXT)))
    assert (done.ending, done.text, done.passages, done.resumed) == ("done", TEXT, PASSAGES, True)
    assert streamed(Reply(200, events("Alpha", last=error))).ending == "error"
    assert streamed(Reply(200, events("Alpha", last=""), broken="ClientPayloadError")).ending == "cut"
    assert streamed(Reply(200, events("Alpha", last=""))).ending == "silent"
    assert streamed(Reply(200)).ending == "silent"
    assert streamed(Reply(503, b"{}")).ending == "refused"
    assert streamed(Reply(200, b'data: {"choices": [', broken="ClientPayloadError")).ending == "cut"


def test_an_answer_is_whole_when_it_was_seen_before_or_quotes_its_passages() -> None:
    expected = Expected()
    expected.answers["q"].add("As before.")
    assert expected.fault("q", Answer("done", "As before.")) == ""
    assert expected.fault("q", Answer("done", TEXT, PASSAGES)) == ""
    assert "another text" in expected.fault("q", Answer("done", "As bef", PASSAGES))
    assert expected.fault("q", Answer("cut", "As before.")) == "cut"
    body = {"choices": [{"message": {"content": TEXT}}], "raglan": {"passages": [], "resumed_at": None}}
    assert whole(Reply(200, json.dumps(body).encode())).text == TEXT


async def test_the_fake_engine_goes_on_where_another_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chaos_engine, "PAUSE_S", 0)
    engine = FakeEngine(SimpleNamespace(model_id="quote"))
    assert reply(PROMPT) == TEXT

    async def answer(begun: str = "") -> str:
        messages: list[dict[str, Any]] = [{"role": "user", "content": PROMPT}]
        messages += [{"role": "assistant", "content": begun}] if begun else []
        request = SimpleNamespace(messages=messages, continue_final_message=bool(begun), max_completion_tokens=99)
        seam = Begun(begun)
        found = [piece async for line in engine.chat(request) for piece in pieces(line, seam)]
        assert found[-1].finish_reason == "stop"
        return "".join(piece.text for piece in found)

    assert await answer() == TEXT
    for n in range(1, len(steps(TEXT))):
        begun = "".join(steps(TEXT)[:n])
        assert begun + await answer(begun) == TEXT


def test_a_request_is_charged_to_the_fault_that_broke_it() -> None:
    windows = [Window("none", 0, 10), Window("kill", 10, 20), Window("update", 20, 30)]
    cut = Outcome("stream", 9, 2, 200, "cut", "cut")
    slow = Outcome("search", 9, 15, 200)
    late = Outcome("search", 19, 8, 0, "TimeoutError")
    none, kill, update = rows(windows, [cut, slow, late, Outcome("rate", 12, 1, 429, "HTTP 429")])
    assert (none.requests, none.correct, none.trouble_s) == (1, 1, None)
    assert (kill.requests, kill.admitted, kill.correct, kill.trouble_s) == (2, 1, 0, 1.0)
    assert kill.faults == {"stream: cut": 1}
    assert (update.requests, update.statuses, update.trouble_s) == (1, {0: 1}, 7.0)


def test_aims_are_met_and_missed() -> None:
    window = Window("none", 0, 10)
    good = [Outcome("stream", 1, 1, 200, ending="done"), *(Outcome("search", 2, 1, 200) for _ in range(1_000))]
    met = aims(rows([window], good), KEPT, 10)
    assert [aim.met for aim in met] == [True] * 6
    cut = [*good, Outcome("stream", 1, 1, 200, "cut", "cut")]
    assert [aim.met for aim in aims(rows([replace(window, name="kill Ingress")], cut), KEPT, 10)] == [True] * 6
    assert [aim.met for aim in aims(rows([window], cut), KEPT, 10)] == [True, True, False, True, True, True]
    broken = [*cut, Outcome("search", 1, 1, 500, "HTTP 500")]
    assert [aim.met for aim in aims(rows([window], broken), KEPT, 10)] == [True, False, False, True, True, True]
    assert [aim.met for aim in aims(rows([window], good), KEPT, 100)] == [False, True, True, True, True, True]
    undone = replace(window, detail=UNDONE)
    assert [aim.met for aim in aims(rows([undone], good), KEPT, 10)] == [True] * 5 + [False]
    for harm, place in (("lost", 3), ("unfindable", 3), ("back", 3), ("missing", 4), ("doubled", 4)):
        kept = replace(KEPT, **{harm: ("x",)})
        assert [aim.met for aim in aims(rows([window], good), kept, 10)] == [n != place for n in range(6)]


def test_what_was_confirmed_is_looked_for(tmp_path: Path) -> None:
    notes = Notes(stored={1: 0.0, 2: 0.0}, removed={3, 4}, unsure={5})
    assert notes.faults([note(1)["id"], note(4)["id"], note(5)["id"]]) == ([note(2)["id"]], [note(4)["id"]])
    file = tmp_path / "feedback.jsonl"
    file.write_text('{"id": "a"}\n{"id": "b"}\n{"id": "b"}\n')
    assert Ratings({"a", "b", "c"}).faults(file) == (["c"], ["b"])
    assert Ratings({"a"}).faults(tmp_path / "none") == (["a"], [])


def test_machines_that_are_not_well_come_last() -> None:
    balancer = Balancer(("a", "b"), 1, {"a", "b"})
    assert {tuple(balancer.order()) for _ in range(2)} == {("a", "b"), ("b", "a")}
    balancer.well.discard("a")
    assert {tuple(balancer.order()) for _ in range(2)} == {("b", "a")}


@pytest.mark.parametrize("engine", ["fake", "vllm"])
def test_the_profile_is_the_local_one_with_two_of_each(engine: Any, tmp_path: Path) -> None:
    config = profile(tmp_path, engine)
    (application,) = config["applications"]
    settings = Settings.load(application["args"])
    counts = {d["name"]: d["autoscaling_config"]["min_replicas"] for d in application["deployments"]}
    assert counts.pop("Retriever") == 1
    assert set(counts.values()) == {2}
    (fewer,) = profile(tmp_path, engine, ["Guard"])["applications"]
    one = {d["name"] for d in fewer["deployments"] if d["autoscaling_config"]["min_replicas"] == 1}
    assert one == {"Guard", "Retriever"}
    assert ("RAYLLM_VLLM_ENGINE_CLS" in settings.models[0].env) == (engine == "fake")
    later = Settings.load(changed(config)["applications"][0]["args"])
    assert later.digest != settings.digest
    assert serve_faults(yaml.safe_dump(config), later, DRAINING_S) == []
