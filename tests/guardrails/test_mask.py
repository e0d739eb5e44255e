import string
import time
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.mask import LIMIT, WITHHELD, StreamMasker, mask
from guardrails.sensitive import luhn

SECRETS = {
    "email": "ada.lovelace+x@mail.example.co.uk",
    "card": "4111 1111 1111 1111",
    "card_plain": "378282246310005",
    "card_hyphens": "5555-5555-5555-4444",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "iban_plain": "DE89370400440532013000",
    "iban_mixed": "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
    "ssn": "078-05-1120",
    "phone": "+44 20 7946 0958",
    "phone_us": "(212) 555-0187",
    "openai": "sk-proj-abcDEF0123456789abcdXYZ",
    "github": "ghp_" + "aB3d" * 9,
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fw",
    "private_key": "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQ==\n-----END PRIVATE KEY-----",
}
LABELS = ("[email]", "[card]", "[iban]", "[ssn]", "[phone]", "[token]", "[private key]")


def stream(pieces: list[str]) -> list[str]:
    masker = StreamMasker()
    return [*(masker.feed(piece) for piece in pieces), masker.flush()]


def cut(text: str, at: list[int]) -> list[str]:
    edges = [0, *sorted(at), len(text)]
    return [text[a:b] for a, b in pairwise(edges)]


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
@pytest.mark.parametrize("frame", ["Write to {} today.", "{}", "a, b: 12 {}\nNext line", "x ({}) y"])
def test_no_part_leaves_whatever_the_split(secret: str, frame: str) -> None:
    text = frame.format(secret)
    whole = mask(text)
    prefix = frame.split("{}", maxsplit=1)[0]
    assert whole.startswith(prefix)
    assert whole[len(prefix) :].startswith(LABELS)
    for at in range(len(text) + 1):
        pieces = stream([text[:at], text[at:]])
        assert "".join(pieces) == whole
        assert len("".join(pieces[:1])) <= len(prefix) or pieces[0][len(prefix) :].startswith(LABELS)
    assert "".join(stream(list(text))) == whole


pieces_of_text = st.one_of(
    st.sampled_from(list(SECRETS.values())),
    st.sampled_from(
        ["Bearer", "-----BEGIN", "PRIVATE", "KEY-----", "-----END", "12", "4111", "AB12", "+1", "(0)", "@", "sk-"]
    ),
    st.text(string.ascii_letters + string.digits + " \n\t.,:;@+-_()[]/='\"", max_size=12),
    st.text(max_size=6),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(pieces_of_text, max_size=12), st.sampled_from([" ", "\n", "", ", "]), st.data())
def test_a_stream_is_masked_as_the_whole_text_is(parts: list[str], glue: str, data: st.DataObject) -> None:
    text = glue.join(parts)
    at = data.draw(st.lists(st.integers(0, len(text)), max_size=30))
    whole = mask(text)
    assert "".join(stream(cut(text, at))) == whole
    assert "".join(stream(list(text))) == whole


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(SECRETS)), st.data())
def test_no_piece_of_a_secret_is_in_the_output(kind: str, data: st.DataObject) -> None:
    words = st.lists(st.text(string.ascii_lowercase, min_size=1, max_size=9), max_size=5).map(" ".join)
    text = f"{data.draw(words)} {SECRETS[kind]} {data.draw(words)}".strip()
    at = data.draw(st.lists(st.integers(0, len(text)), max_size=20))
    out = "".join(stream(cut(text, at)))
    assert not any(SECRETS[kind][n : n + 5] in out for n in range(len(SECRETS[kind]) - 4))


@settings(max_examples=200, deadline=None)
@given(st.text(string.ascii_letters + " \n.,;:!?'\"()[]*`#-", max_size=300))
def test_ordinary_text_comes_out_unchanged(text: str) -> None:
    assert mask(text) == text


@settings(max_examples=100, deadline=None)
@given(st.integers(400_000_000_000_000, 499_999_999_999_999), st.sampled_from(["", " ", "-"]), st.data())
def test_every_card_number_is_masked(start: int, gap: str, data: st.DataObject) -> None:
    digits = next(f"{start}{n}" for n in range(10) if luhn(f"{start}{n}"))
    text = "card " + gap.join(digits[n : n + 4] for n in range(0, 16, 4)) + " ok"
    at = data.draw(st.lists(st.integers(0, len(text)), max_size=10))
    assert "".join(stream(cut(text, at))) == "card [card] ok"


def test_prose_leaves_at_the_end_of_each_word_and_numbers_one_word_later() -> None:
    masker = StreamMasker()
    assert masker.feed("Repl") == ""
    assert masker.feed("icas ") == "Replicas "
    assert masker.feed("take 8") == "take "
    assert masker.feed(" ") == ""
    assert masker.feed("requests") == ""
    assert masker.feed(" ") == "8 requests "
    assert masker.feed("東京") == "東京"
    assert masker.flush() == ""


def test_text_without_end_is_withheld_not_let_through() -> None:
    text = "start " + "x" * (LIMIT + 10) + " then more"
    assert mask(text) == "start " + WITHHELD
    assert "".join(stream([text[n : n + 7] for n in range(0, len(text), 7)])) == "start " + WITHHELD


def test_a_long_table_of_numbers_streams_in_linear_time() -> None:
    line = " ".join(str(n) for n in range(2_000))
    begin = time.perf_counter()
    assert "".join(stream([line[n : n + 4] for n in range(0, len(line), 4)])) == line
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize("seed", ["a@", "+1 ", "eyJ-", "sk-", "AB12 ", "-----BEGIN ", "://a:", "1 ", "0a.", "4111 "])
def test_masking_stays_fast_on_hostile_text(seed: str) -> None:
    begin = time.perf_counter()
    mask((seed * LIMIT)[: LIMIT - 1])
    assert time.perf_counter() - begin < 3
