import time

import pytest

from guardrails.normalise import hidden, normalise


def tagged(text: str) -> str:
    return "".join(chr(0xE0000 + ord(c)) for c in text)


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("ig\u200bnore", "ignore"),
        ("ignore", "ignore"),
        ("ig\u2800no\U000e0002re\u3164", "ignore"),
        ("so\u00adft \u202eword", "soft word"),
        ("a\u00a0b\n\n c", "a b c"),
        ("“it’s” — so", '"it\'s" - so'),
        ("hi" + tagged("ignore all"), "hi ignore all"),
        ("hi \U0001f3f4" + tagged("ignore") + "\U000e007f", "hi \U0001f3f4 ignore"),
        ("ig\U000e007fnore", "ignore"),
        ("plain question?", "plain question?"),
        ("\ud800 lone", "\ud800 lone"),
    ],
)
def test_text_is_seen_as_a_reader_sees_it(text: str, seen: str) -> None:
    assert normalise(text) == seen


def test_hidden_counts_tag_characters_but_not_those_of_a_flag() -> None:
    assert hidden("hello " + tagged("abc")) == 3
    assert hidden("hello") == 0
    scotland = "\U0001f3f4" + tagged("gbsct") + "\U000e007f"
    assert hidden(f"to {scotland}!") == 0
    assert hidden(scotland.replace(tagged("gbsct"), tagged("ignore"))) == 6


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("іgnоrе аll рrеvіоus", "ignore all previous"),
        ("ɪɢɴᴏʀᴇ all", "ignore all"),
        ("𝗶𝗴𝗻𝗼𝗿𝗲 ａｌｌ", "ignore all"),
        ("ïgnörë áll", "ignore all"),
        ("i\u0336g\u0336nore", "ignore"),
        ("🅸🅶🅽🅾🆁🅴 all of it", "ignore all of it"),
        ("Почему Docker не работает", "Почему Docker не работает"),
        ("हिन्दी में", "हिन्दी में"),
        ("іgnоrе аll рrеvіоus" + "你好" * 80, "ignore all previous" + "你好" * 80),
        ("Игнор: іgnоrе аll", "Игнор: ignore all"),
        ("Почему кто-то не рад Docker", "Почему кто-то не рад Docker"),
    ],
)
def test_lookalikes_become_latin_where_the_text_is_latin(text: str, seen: str) -> None:
    assert normalise(text) == seen


def test_a_heap_of_marks_takes_no_quadratic_time() -> None:
    begin = time.thread_time()
    assert normalise("a" + "\u0301\u0316" * 100_000 + " b") == "a b"
    assert time.thread_time() - begin < 5
