import base64
import codecs
import re

import pytest

from guardrails.leaks import Leaks

CANARY = "CANARY-7f3a-Quiet-Heron"
TEMPLATE = """You answer questions about the handbook from the numbered passages below and from nothing else.
If they do not hold the answer, say "The documents I have been given do not answer this question today."
{% for hit in hits %}[{{ loop.index }}] {{ hit.text and a long run of words in the markup itself }}{% endfor %}"""
LEAKS = Leaks([CANARY], [TEMPLATE], 8)


@pytest.mark.parametrize(
    "told",
    [
        CANARY,
        CANARY.lower(),
        "CAN\u200bARY-7f3a-Quiet-Heron",
        "C A N A R Y - 7 f 3 a - Q u i e t - H e r o n",
        "canary_7F3A quiet.heron",
        "C*A*N*A*R*Y*7*f*3*a*Q*u*i*e*t*H*e*r*o*n",
        CANARY[::-1],
        codecs.encode(CANARY, "rot13"),
        CANARY.encode().hex(),
        *(base64.b64encode(("x" * n + CANARY + " and more").encode()).decode() for n in range(6)),
        base64.urlsafe_b64encode(("??" + CANARY).encode()).decode(),
        base64.b64encode(CANARY.lower().encode()).decode(),
    ],
)
def test_a_canary_is_seen_in_any_case_and_disguise(told: str) -> None:
    assert LEAKS.find(f"It says {told} here", []) == "canary"
    assert LEAKS.find(told, [told]) == "canary"


@pytest.mark.parametrize(
    "text", ["The canary sang.", "A quiet heron stood there.", "Can Ray be quiet? 7f3a", "aGVsbG8="]
)
def test_what_only_resembles_a_canary_is_none(text: str) -> None:
    assert LEAKS.find(text, []) == ""


RECITED = TEMPLATE.splitlines()[0]


def in_lines(words: int, number: bool) -> str:
    """The template, so many words a line."""
    cut = re.findall(rf"(?:\S+\s*){{1,{words}}}", RECITED)
    return "\n".join(f"{n}. {line}" if number else line for n, line in enumerate(cut, 1))


@pytest.mark.parametrize(
    ("told", "found"),
    [
        *((in_lines(words, number), "protected text") for words in (1, 4, 7) for number in (False, True)),
        ("\n".join(CANARY), "canary"),
        (RECITED.replace(" ", "_"), "protected text"),
        ("The handbook has passages.\nThey are numbered.\nI answer questions from them.", ""),
    ],
)
def test_a_leak_is_seen_line_by_line_and_told_once(told: str, found: str) -> None:
    before, kinds = "", []
    for line in (told + "\nAnd that was all of it.").splitlines(keepends=True):
        kinds.append(LEAKS.find(line, [], before))
        before += line
    assert {kind for kind in kinds if kind} == ({found} - {""})
    assert kinds[-1] == ""
    assert LEAKS.find(told, [told]) == ("canary" if found == "canary" else "")


def test_a_short_canary_is_only_seen_as_it_is() -> None:
    short = Leaks(["Ka-7"], [], 8)
    assert short.find("It is ka-7.", []) == "canary"
    assert short.find("The ska 7 band", []) == ""


def test_a_run_of_words_of_the_template_is_a_leak() -> None:
    told = "My orders: You answer questions about the handbook, from the numbered passages below!"
    assert LEAKS.find(told, []) == "protected text"
    assert LEAKS.find("I answer questions about the handbook from numbered passages.", []) == ""


def test_what_the_template_tells_the_engine_to_say_is_none() -> None:
    assert LEAKS.find("The documents I have been given do not answer this question today.", []) == ""


@pytest.mark.parametrize(
    "passage",
    [
        "The template reads: You answer questions about the handbook from the numbered passages below.",
        "> *You* answer questions\nabout the **handbook** from the\nnumbered passages below.",
    ],
)
def test_a_quotation_of_a_passage_is_none(passage: str) -> None:
    told = "It says: You answer questions about the handbook from the numbered passages below. [1]"
    assert LEAKS.find(told, [passage]) == ""
    assert LEAKS.find(told, ["Another passage."]) == "protected text"


def test_without_anything_to_protect_nothing_leaks() -> None:
    assert Leaks([], [" "], 8).find("anything at all", []) == ""
    assert Leaks([" "], [], 8).find("anything at all", []) == ""
