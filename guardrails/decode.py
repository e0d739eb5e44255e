"""Readable text that is hidden in a message by an encoding, for the checks only. It judges nothing.

A decoding counts only when it reads: enough of its words are common English ones. So an identifier, a hash or an image
in base64 gives nothing, and neither does rot13 of a text that was plain.
"""

import base64
import binascii
import codecs
import re
from collections.abc import Callable, Iterator

from guardrails.normalise import normalise

MAX_CHARACTERS = 16_000
"""Characters of a text that are searched for encodings, from its beginning, and of all that is found."""
MAX_DEPTH = 3
MAX_FOUND = 8
MIN_RUN = 16
"""Characters of the shortest run that is tried: "ignore it" in base64 has twelve, most identifiers are shorter too."""
MIN_COMMON = 0.25
"""Share of common words from which a decoding reads; English prose has 0.4 to 0.6, rot13 of it under 0.05."""
WORDS = re.compile(r"[A-Za-z']+")
COMMON = """a about after all also an and any are as at be because been before both but by can could did do does for
from had has have he her here him his how i if in into is it its just may me might more most must my no not now of off
on once only or other our out over same she should so some such than that the their them then there these they this
those through to too under until up us use used using very was we were what when where which while who why will with
would you your act admin answer bypass command disregard everything explain file first follow forget get give hidden
ignore instruction instructions key know let like make mode need new one output override password please pretend
previous print prior prompt put repeat respond restrictions reveal rules run say secret see show system tell text two
user want without words write"""
PLAIN = frozenset(COMMON.split())
"""Words that make a decoding read: the commonest of English, and those of the messages that one would hide."""

BASE64 = re.compile(rf"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{{{MIN_RUN},}}={{0,2}}")
HEX = re.compile(r"(?:\b|(?<=\\x)|(?<=%))(?:0x|\\x|%)?[0-9a-fA-F]{2}(?:(?:[\s,:-]|0x|\\x|%){0,3}[0-9a-fA-F]{2}){7,}\b")
BINARY = re.compile(r"\b[01]{8}(?:\s?[01]{8}){3,}\b")
MORSE = re.compile(r"[.\-]{1,6}(?:[ /]{1,3}[.\-]{1,6}){7,}")
SPELLED = re.compile(r"(?<![^\W_])(?:[^\W_][ .\-_*|]{1,3}){4,}[^\W_](?![^\W_])")
"""The underscore parts letters and is none: as both, a run of them could be read in exponentially many ways."""
LEET = str.maketrans("013457@$!|", "oieastasil")
LEETED = re.compile(r"(?<![\w@$!|])(?=\S{0,40}[A-Za-z])(?=\S{0,40}[013457@$!|])[\w@$!|]{2,20}")
"""A word of letters and of signs that look like letters. It looks a bounded way ahead: to the end of a line without
spaces, from each of its characters, would be quadratic."""
MIN_LEETED = 2
"""Words that must turn out to be common ones for a text to be leetspeak."""
CODE = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
    "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----."
)
LETTER = dict(zip(CODE.split(), "abcdefghijklmnopqrstuvwxyz0123456789", strict=True))


def decoded(text: str) -> list[str]:
    """The readable texts hidden in `text`, normalised, outermost first; at most MAX_FOUND of them.

    Nested encodings are followed MAX_DEPTH deep.
    """
    found = list[str]()
    text = text[:MAX_CHARACTERS]
    layer, budget = [text], MAX_CHARACTERS
    for _ in range(MAX_DEPTH):
        inner = list[str]()
        for outer in layer:
            for candidate in attempts(outer):
                hidden = normalise(candidate[:budget])
                plain = reads(hidden)
                if hidden in found or not (plain or nested(hidden)):
                    continue
                inner.append(hidden)
                budget -= len(hidden)
                if plain:
                    found.append(hidden)
                if len(found) == MAX_FOUND or budget <= 0:
                    return found
        layer = inner
    return found


def common(text: str) -> int:
    """How many common words `text` has."""
    return sum(word in PLAIN for word in WORDS.findall(text.lower()))


def reads(text: str) -> bool:
    """Whether `text` is at least three words of which enough are common."""
    words = len(WORDS.findall(text))
    return words > 2 and common(text) >= MIN_COMMON * words


def nested(text: str) -> bool:
    """Whether `text` is nothing but another encoding."""
    return len(text) >= MIN_RUN and bool(BASE64.fullmatch(text) or HEX.fullmatch(text) or BINARY.fullmatch(text))


def attempts(text: str) -> Iterator[str]:
    """What every decoder makes of `text`, readable or not."""
    runs: tuple[tuple[re.Pattern[str], Callable[[str], str]], ...] = (
        (BASE64, from_base64),
        (HEX, from_hex),
        (BINARY, from_binary),
        (MORSE, from_morse),
    )
    for pattern, decode in runs:
        for match in pattern.finditer(text):
            yield decode(match[0])
    whole = (
        SPELLED.sub(from_spelled, text),
        from_leet(text),
        text[::-1],
        " ".join(word[::-1] for word in text.split()),
        codecs.encode(text, "rot13"),
    )
    known = common(text)
    yield from (candidate for candidate in whole if common(candidate) > known)


def from_base64(run: str) -> str:
    """Base64 of UTF-8, with its padding or without, in either alphabet; empty when it is none."""
    run = run.rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(run + "=" * (-len(run) % 4), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def from_hex(run: str) -> str:
    """Hex digits of UTF-8, with or without separators; empty when they are none."""
    digits = re.sub(r"0x|\\x|[^0-9a-fA-F]", "", run)
    try:
        return bytes.fromhex(digits).decode()
    except ValueError:
        return ""


def from_binary(run: str) -> str:
    digits = re.sub(r"\s", "", run)
    return "".join(chr(int(digits[n : n + 8], 2)) for n in range(0, len(digits), 8))


def from_morse(run: str) -> str:
    return " ".join("".join(LETTER.get(code, "") for code in word.split()) for word in re.split(r"/| {3,}", run))


def from_spelled(run: re.Match[str]) -> str:
    """`i g n o r e  a l l`: letters parted by one separator, words by more."""
    return " ".join(re.sub(r"[ .\-_*|]", "", word) for word in re.split(r"[ .\-_*|]{2,}", run[0]))


def from_leet(text: str) -> str:
    """`text` with digits and signs inside words as the letters they look like; empty when that makes no sense."""
    words = {match[0]: match[0].lower().translate(LEET) for match in LEETED.finditer(text)}
    if sum(word in PLAIN for word in words.values()) < MIN_LEETED:
        return ""
    return LEETED.sub(lambda match: words[match[0]], text)
