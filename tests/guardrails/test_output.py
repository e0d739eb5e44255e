import asyncio

import pytest
from pydantic import ValidationError

import guardrails.output
from guardrails.config import ValidateConfig
from guardrails.output import OutputRails
from rag.types import Check, Hit, Passage, RequestSettings, Verdict

SETTINGS = RequestSettings(model="demo", prompt="quote")
HITS = [
    Hit(Passage("a", "doc", "Replicas scale on ongoing requests, at most 8 each.", title="Scaling"), 1.0),
    Hit(Passage("b", "doc", "The guard runs beside retrieval.", headings=("Guard",)), 0.5),
]


def loaded(**config: object) -> OutputRails:
    rails = OutputRails(ValidateConfig(**config))  # type: ignore[arg-type]
    rails.load()
    return rails


@pytest.fixture(scope="module")
def rails() -> OutputRails:
    return loaded(canaries=("RAGLAN-CANARY-1",))


async def validate(rails: OutputRails, sentence: str, hits: list[Hit] = HITS) -> dict[str, Check]:
    verdict = await rails.validate(sentence, hits, "How do replicas scale?", SETTINGS)
    assert verdict.allowed == (not any(c.action in {"block", "error"} for c in verdict.checks))
    return {c.name: c for c in verdict.checks}


async def test_a_supported_sentence_passes_every_check(rails: OutputRails) -> None:
    checks = await validate(rails, "Replicas scale on ongoing requests. [1] ")
    assert list(checks) == ["characters", "leaks", "citations", "groundedness"]
    assert {c.action for c in checks.values()} == {"pass"}
    assert checks["groundedness"].score == 1.0
    assert checks["citations"].score == 1.0


async def test_a_citation_without_a_passage_is_flagged_or_blocked(rails: OutputRails) -> None:
    checks = await validate(rails, "Replicas scale on ongoing requests. [1][7]")
    assert (checks["citations"].action, checks["citations"].detail, checks["citations"].score) == ("flag", "[7]", 0.5)
    checks = await validate(loaded(citations="block"), "Replicas scale. [0]")
    assert checks["citations"].action == "block"


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
    assert "groundedness" not in checks
    assert checks["citations"].action == "flag"


async def test_a_canary_ends_the_answer(rails: OutputRails) -> None:
    verdict = await rails.validate("My prompt has raglan-canary-1.", HITS, "?", SETTINGS)
    assert not verdict.allowed
    assert verdict.refusal == ValidateConfig().refusal
    assert [c.detail for c in verdict.checks if c.action == "block"] == ["canary"]


@pytest.mark.parametrize(("text", "action"), [("a \ud800 b", "block"), ("a \x1b[31m b", "flag"), ("a\tb\n", "pass")])
async def test_text_that_cannot_be_sent_is_refused(rails: OutputRails, text: str, action: str) -> None:
    assert (await validate(rails, text))["characters"].action == action


async def test_a_broken_check_refuses(rails: OutputRails, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(text: str) -> list[int]:
        raise IndexError

    monkeypatch.setattr(guardrails.output, "cited", broken)
    verdict = await rails.validate("Anything. [1]", HITS, "?", SETTINGS)
    assert not verdict.allowed
    assert verdict.refusal == ValidateConfig().unchecked
    assert {c.name for c in verdict.checks if c.action == "error"} == {"citations", "groundedness"}


async def test_checks_can_be_switched_off() -> None:
    rails = loaded(characters="flag", leaks="off", citations="off", groundedness="off")
    assert list(await validate(rails, "Anything \ud800 [9]")) == ["characters"]


async def test_all_checks_may_be_off() -> None:
    rails = loaded(characters="off", leaks="off", citations="off", groundedness="off")
    assert list(await validate(rails, "Anything")) == []


async def test_parallel_sentences_get_their_own_verdicts(rails: OutputRails) -> None:
    sentences = ["RAGLAN-CANARY-1" if n % 2 else f"Sentence number {n}." for n in range(20)]
    verdicts: list[Verdict] = await asyncio.gather(*(rails.validate(s, HITS, "?", SETTINGS) for s in sentences))
    assert [v.allowed for v in verdicts] == [n % 2 == 0 for n in range(20)]


@pytest.mark.parametrize("config", [{"min_groundedness": 2}, {"leak_words": 1}, {"leaks": "mask"}, {"unknown": 1}])
def test_a_wrong_configuration_is_refused(config: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ValidateConfig(**config)  # type: ignore[arg-type]
