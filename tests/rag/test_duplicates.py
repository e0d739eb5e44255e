"""Signatures of passages, and which passages count as one."""

from rag.duplicates import Duplicates, signature

LONG = " ".join(f"word{'abcdefghij'[n % 10]}{'abcdefghij'[n // 10]}" for n in range(100))


def repeats(first: str, second: str, readers: tuple[str, str] = ("a", "a")) -> bool:
    found = Duplicates()
    assert found.earlier(0, readers[0], signature(first)) is None
    return found.earlier(1, readers[1], signature(second)) == 0


def test_what_repeats() -> None:
    assert repeats("One  line.\n", "One line.")
    assert repeats(LONG, LONG.upper())
    assert repeats(LONG, f"{LONG} more")
    assert repeats("日本", "日本")
    assert repeats("", " ")


def test_what_does_not_repeat() -> None:
    assert not repeats("One line.", "Another line.")
    assert not repeats(f"{LONG} limit 17", f"{LONG} limit 18")
    assert not repeats(LONG, LONG, ("tenant a", "tenant b"))
    assert not repeats(LONG, " ".join(LONG.split()[:60]))


def test_many_of_one_pattern_stay_apart() -> None:
    found = Duplicates()
    assert {found.earlier(n, "a", signature(f"{LONG} number {n}")) for n in range(300)} == {None}
    assert found.earlier(300, "a", signature(f"{LONG} number 7")) == 7
