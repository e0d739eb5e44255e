import string
import time
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrails.accounts import COUNTRY, luhn, mod97
from guardrails.cells import LIMIT
from guardrails.mask import WITHHELD, StreamMasker, find, mask
from guardrails.sensitive import KINDS, MASKED

SECRETS = {
    "email": "ada.lovelace+x@mail.example.co.uk",
    "email_bracketed": "ada.lovelace [at] example [dot] co [dot] uk",
    "email_spelled": "lovelace at example dot com",
    "email_spaced": "lovelace @ example.com",
    "email_percent": "lovelace%40example.com",
    "email_wide": "lovelace＠example．com",
    "email_unseen": "love\u200blace@exam\u00adple.com",
    "card": "4111 1111 1111 1111",
    "card_plain": "378282246310005",
    "card_hyphens": "5555-5555-5555-4444",
    "card_dots": "5555.5555.5555.4444",
    "card_typographic": "5555‑5555‑5555‑4444",
    "iban": "GB82 WEST 1234 5698 7654 32",
    "iban_plain": "DE89370400440532013000",
    "iban_lower": "de89370400440532013000",
    "iban_mixed": "MT84 MALT 0110 0001 2345 MTLC AST0 01S",
    "ssn": "078-05-1120",
    "phone": "+44 20 7946 0958",
    "phone_trunk": "+46 (0)8 928 571 38",
    "phone_exchange": "0044 20 7946 0958",
    "phone_us": "(212) 555-0187",
    "phone_extension": "212-555-0187 ext. 12",
    "phone_national": "0494 92 82 32",
    "ip": "54.190.144.241",
    "ipv6": "2a00:1450:4001:81b::200e",
    "ipv6_full": "4a3f:9a0b:1c2d:3e4f:5a6b:7c8d:9e0f:1a2b",
    "openai": "sk-proj-abcDEF0123456789abcdXYZ",
    "github": "ghp_" + "aB3d" * 9,
    "aws": "AKIAIOSFODNN7EXAMPLE",
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.SflKxwRJSMeKKF2QT4fw",
    "private_key": "-----BEGIN PRIVATE KEY-----\n"
    "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQ==\n-----END PRIVATE KEY-----",
}
LABELS = ("[email]", "[card]", "[iban]", "[ssn]", "[phone]", "[ip]", "[token]", "[private key]")
NAMED = {
    "bearer": ("Authorization: Bearer ", "abcdef0123456789abcdef"),
    "basic": ("Authorization: Basic ", "QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
    "url_token": ("https://example.com/a?page=2&access_token=", "a1B2c3D4e5"),
    "url_key": ("/v1/list?api_key=", "k9d8s7f6g5h4j3k2"),
    "url_signature": ("https://example.com/a?X-Amz-Signature=", "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc9"),
    "url_user": ("https://", "bob:hunter2@"),
    "environment": ("export DB_PASSWORD=", "hunter2024!"),
    "yaml": ("api_key: ", "a1b2c3d4e5f6g7h8i9"),
    "phone": ("Phone: ", "467 3395"),
    "phone_below": ("Phone:\n", "28-64-66-98"),
    "phone_at": ("please call me at ", "516 466 638"),
    "card_unchecked": ("credit card no ", "4111 1111 1111 1112"),
    "card_short": ("my card ", "503802053770"),
    "ssn_plain": ("SSN: ", "078051120"),
    "iban_unchecked": ("IBAN ", "GB83 WEST 1234 5698 7654 32"),
}
"""What is only known by the words before it."""


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


@pytest.mark.parametrize(("name", "secret"), NAMED.values(), ids=NAMED)
def test_no_part_of_what_its_name_gives_away_leaves(name: str, secret: str) -> None:
    text = f"Then {name}{secret} ok"
    whole = mask(text)
    assert whole.startswith(f"Then {name}[")
    assert whole.endswith("@ ok" if secret.endswith("@") else " ok")
    assert not any(secret[n : n + 4] in whole for n in range(len(secret) - 3))
    for at in range(len(text) + 1):
        assert "".join(stream([text[:at], text[at:]])) == whole
        assert whole.startswith(stream([text[:at]])[0])


def test_a_label_behind_a_number_gives_it_away() -> None:
    text = "1 Main Street\n28-64-66-98 office\n+44 20 7946 0958 mobile\n"
    assert mask(text) == "1 Main Street\n[phone] office\n[phone] mobile\n"
    assert "".join(stream(list(text))) == mask(text)


pieces_of_text = st.one_of(
    st.sampled_from([*SECRETS.values(), *(name + secret for name, secret in NAMED.values())]),
    st.sampled_from(
        ["Bearer", "-----BEGIN", "PRIVATE", "KEY-----", "-----END", "12", "4111", "AB12", "+1", "(0)", "@", "sk-"]
    ),
    st.sampled_from(["at", "[at]", "dot", "(dot)", ".", "ext.", "Phone:", "call me at", "?token=", "::", "1.2.3.4"]),
    st.sampled_from(["\u200b", "\u2011", "\u202f", "＠", "\ufeff", "１２"]),
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


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(sorted(COUNTRY)), st.integers(0, 10**30 - 1), st.booleans())
def test_the_iban_of_every_country_is_masked(country: str, account: int, spaced: bool) -> None:
    body = f"{account:030}"[: COUNTRY[country] - 4]
    check = next(n for n in range(2, 99) if mod97(f"{country}{n:02}{body}"))
    iban = f"{country}{check:02}{body}"
    printed = " ".join(iban[n : n + 4] for n in range(0, len(iban), 4)) if spaced else iban
    assert mask(f"to {printed} today") == "to [iban] today"


@settings(max_examples=100, deadline=None)
@given(st.ip_addresses())
def test_public_ip_addresses_are_masked_and_the_others_on_demand(address: IPv4Address | IPv6Address) -> None:
    text = f"at {address} now"
    everything = mask(text, KINDS)
    if address.version == 4 or address in IPv6Network("2000::/3"):
        public = address.is_global and not address.is_multicast
        assert mask(text) == ("at [ip] now" if public else text)
        assert everything == "at [ip] now"


def test_kinds_can_be_chosen() -> None:
    text = "ada@example.com 10.0.0.1 54.190.144.241 078-05-1120"
    assert mask(text) == "[email] 10.0.0.1 [ip] [ssn]"
    assert mask(text, KINDS) == "[email] [ip] [ip] [ssn]"
    assert mask(text, frozenset({"email"})) == "[email] 10.0.0.1 54.190.144.241 [ssn]".replace("[ssn]", "078-05-1120")
    assert mask(text, frozenset()) == text
    assert KINDS - {"private ip"} == MASKED


@pytest.mark.parametrize("text", [*SECRETS.values(), *(name + secret for name, secret in NAMED.values())])
def test_what_is_found_is_what_is_masked(text: str) -> None:
    text = f"One {text} two ada@example.com."
    found = find(text)
    assert len(found) >= 2
    out, at = "", 0
    for span in found:
        out, at = out + text[at : span.start] + f"[{span.kind}]", span.end
    assert out + text[at:] == mask(text)


def test_prose_leaves_at_the_end_of_each_word_and_numbers_one_word_later() -> None:
    masker = StreamMasker()
    assert masker.feed("Repl") == ""
    assert masker.feed("icas ") == ""
    assert masker.feed("take 8") == "Replicas take "
    assert masker.feed(" ") == ""
    assert masker.feed("requests") == ""
    assert masker.feed(" of") == "8 requests "
    assert masker.feed(" Aa") == ""  # it may become "at", of an address that is spelled out
    assert masker.feed(" bb\n") == "of Aa bb\n"
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


HOSTILE = ["a@", "+1 ", "eyJ-", "sk-", "AB12 ", "-----BEGIN "]
HOSTILE += ["://a:", "1 ", "0a.", "4111 ", "a at ", "dot a ", "a@ "]
HOSTILE += [
    "1.",
    "a:",
    "?token=",
    "token=a",
    "+1(",
    "0.0.0.0",
    "(0)",
    "a[at]",
    "%40",
    "call me at ",
    "\u200b",
    "a.dot ",
]


@pytest.mark.parametrize("seed", HOSTILE)
def test_masking_stays_fast_on_hostile_text(seed: str) -> None:
    begin = time.perf_counter()
    mask((seed * LIMIT)[: LIMIT - 1])
    assert time.perf_counter() - begin < 3
