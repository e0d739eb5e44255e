import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.begun import Begun
from rag.errors import InvalidInput

PROMPT = "<user>How?<assistant>"


def joined(text: str, rendered: str, rest: list[str]) -> str:
    begun = Begun(text)
    begun.check(rendered)
    return text + "".join(begun.follow(piece) for piece in rest)


def test_a_template_that_keeps_white_space_is_believed() -> None:
    assert joined("One.\n", PROMPT + "One.\n", ["\n", "Two."]) == "One.\n\nTwo."


@pytest.mark.parametrize("rest", [["\n\nTwo."], ["\n", "\n", "Two."], ["", "\n\nT", "wo."]])
def test_what_a_trimming_template_lost_is_not_written_twice(rest: list[str]) -> None:
    assert joined("One.\n\n", PROMPT + "One.", rest) == "One.\n\nTwo."


def test_other_white_space_than_was_there_is_dropped() -> None:
    assert joined("One.\n\n", PROMPT + "One.", [" Two. ", " Three"]) == "One.\n\nTwo.  Three"


def test_more_white_space_than_was_there_is_kept() -> None:
    assert joined("def f():\n", PROMPT + "def f():", ["\n    pass"]) == "def f():\n    pass"


def test_a_template_that_changes_the_answer_is_refused() -> None:
    with pytest.raises(InvalidInput):
        Begun("One. Two.").check(PROMPT + "One.")


@given(st.text(" \nab", min_size=1), st.text(" \nab"))
def test_a_trimming_template_loses_nothing_at_any_cut(text: str, rest: str) -> None:
    bare = text.rstrip()
    assert joined(text, PROMPT + bare.lstrip(), list(text[len(bare) :] + rest)) == text + rest
