"""Signatures of passages, and which passages count as one."""

import pytest

from rag.duplicates import Duplicates, signature

LONG = " ".join(f"word{'abcdefghij'[n % 10]}{'abcdefghij'[n // 10]}" for n in range(100))
REST = LONG.replace("word", "term")


def repeats(first: str, second: str, readers: tuple[str, str] = ("a", "a")) -> bool:
    found = Duplicates()
    assert found.earlier(0, readers[0], signature(first)) is None
    return found.earlier(1, readers[1], signature(second)) == 0


def test_what_repeats() -> None:
    assert repeats("One  line.\n", "One line.")
    assert repeats(LONG, LONG.replace(" ", ", "))
    assert repeats(LONG, f"{LONG} more")
    assert repeats(f"{LONG} Berlin", f"{LONG} BERLIN")
    assert repeats("日本", "日本")
    assert repeats("", " ")


def test_what_does_not_repeat() -> None:
    assert not repeats("One line.", "Another line.")
    assert not repeats(f"{LONG} limit 17", f"{LONG} limit 18")
    assert not repeats(LONG, LONG, ("tenant a", "tenant b"))
    assert not repeats(LONG, " ".join(LONG.split()[:60]))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Staff may take laptops home", "Staff may not take laptops home"),
        ("Staff do leave early", "Staff don't leave early"),
        ("Staff do leave early", "Staff don’t leave early"),
        ("this holds for managers", "this holds for managers only"),
        ("pay at the end, if asked", "pay at the end, unless asked"),
        ("in the Berlin office", "in the Paris office"),
        ("it is due. Berlin pays it", "it is due. Paris pays it"),
        ("set maxReplicas there", "set minReplicas there"),
    ],
)
def test_a_word_that_turns_the_meaning_keeps_passages_apart(one: str, other: str) -> None:
    assert repeats(f"{LONG} {one} {REST}", f"{LONG}, {one} then {REST}")
    assert not repeats(f"{LONG} {one} {REST}", f"{LONG} {other} {REST}")


def test_many_of_one_pattern_stay_apart() -> None:
    found = Duplicates()
    assert {found.earlier(n, "a", signature(f"{LONG} number {n}")) for n in range(300)} == {None}
    assert found.earlier(300, "a", signature(f"{LONG} number 7")) == 7
