"""Readable text that is hidden in a message by an encoding, for the checks only. It judges nothing.

Bytes read when they are printable words of any language. Letters that were exchanged or moved read where that makes
common English words of them. So an identifier, a hash or an image in base64 gives nothing, and neither does rot13 of a
text that was plain.
"""

import base64
import codecs
import html
import re
from collections import Counter
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from guardrails.normalise import normalise

MAX_CHARACTERS = 16_000
"""Characters of a text that are searched for encodings, from its beginning."""
MAX_FOUND = 8 * MAX_CHARACTERS
"""Characters of all that is found: more than one layer has, whatever it holds to make the others be overlooked."""
MAX_DEPTH = 3
MIN_RUN = 16
"""Characters of the shortest run that is tried: "ignore it" in base64 has twelve, most identifiers are shorter too."""
MIN_COMMON = 0.25
"""Share of common words from which Morse code reads; English prose has 0.4 to 0.6, chance gives under 0.05."""
MIN_WORDS = 3
MIN_LETTERS = 8
"""Letters beyond ASCII that read without spaces between words, as in Chinese."""
BLOCK, STEP = 80, 40
"""Characters within which MIN_GAINED common words must turn up, about twelve words, and from one block to the next: so
plain words around a cipher hide nothing."""
MIN_GAINED = 2
WORDS = re.compile(r"[A-Za-z']+")
WORD = re.compile(r"[^\W\d_]{2}")
BEYOND = re.compile(r"[^\W\d_\x00-\x7f]")
COMMON = """about after all also an and any are as at be because been before both but by can could did do does for from
had has have he her here him his how if in into is it its just may me might more most must my no not now of off on
once only or other our out over same she should so some such than that the their them then there these they this
those through to too under until up us use used using very was we were what when where which while who why will with
would you your act admin answer bypass command disregard everything explain file first follow forget get give hidden
ignore instruction instructions key know let like make mode need new one output override password please pretend
previous print prior prompt put repeat respond restrictions reveal rules run say secret see show system tell text two
user want without words write"""
PLAIN = frozenset(COMMON.split())
"""Words that make a decoding read: the commonest of English of two letters or more, as a spelled text is full of single
ones, and those of the messages that one would hide."""

BASE64 = re.compile(rf"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{{{MIN_RUN},}}={{0,2}}")
CHUNKED = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]+(?:\s+[A-Za-z0-9+/_-]+)+")
"""Base64 broken by spaces or lines, with the plain words around it."""
PRINTABLE = re.compile(rf"[^\x00-\x08\x0e-\x1f\x7f-\x9f\ufffd]{{{MIN_LETTERS},}}")
HEX = re.compile(r"(?:\b|(?<=\\x)|(?<=%))(?:0x|\\x|%)?[0-9a-fA-F]{2}(?:(?:[\s,:-]|0x|\\x|%){0,3}[0-9a-fA-F]{2}){7,}\b")
BINARY = re.compile(r"\b[01]{8}(?:\s?[01]{8}){3,}\b")
MORSE = re.compile(r"[.\-]{1,6}(?:[ /]{1,3}[.\-]{1,6}){7,}")
ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+|&#(?:[0-9]{1,7}|[xX][0-9a-fA-F]{1,6});")
SEPARATORS = re.compile(r"[ .\-_*|]+")
SPELLED = re.compile(r"(?<![^\W_])(?:[^\W_][ .\-_*|]{1,3}){4,}[^\W_](?![^\W_])")
"""The underscore parts letters and is none: as both, a run of them could be read in exponentially many ways."""
LEET = str.maketrans("013457@$!|", "oieastasil")
LEETED = re.compile(r"(?<![\w@$!|])(?=\S{0,40}[A-Za-z])(?=\S{0,40}[013457@$!|])[\w@$!|]{2,20}")
"""A word of letters and of signs that look like letters. It looks a bounded way ahead: to the end of a line without
spaces, from each of its characters, would be quadratic."""
CODE = (
    ".- -... -.-. -.. . ..-. --. .... .. .--- -.- .-.. -- -. --- .--. --.- .-. ... - ..- ...- .-- -..- -.-- --.. "
    "----- .---- ..--- ...-- ....- ..... -.... --... ---.. ----."
)
LETTER = dict(zip(CODE.split(), "abcdefghijklmnopqrstuvwxyz0123456789", strict=True))


def decoded(text: str) -> list[str]:
    """The readable texts hidden in `text`, normalised, outermost first; at most MAX_FOUND characters of them.

    Nested encodings are followed MAX_DEPTH deep.
    """
    found = dict[str, bool]()
    layer, left = [text[:MAX_CHARACTERS]], MAX_FOUND
    for _ in range(MAX_DEPTH):
        inner = list[str]()
        for hidden, plain in (pair for outer in layer for pair in readable(outer)):
            if hidden not in found and len(hidden) <= left:
                found[hidden] = plain
                inner.append(hidden)
                left -= len(hidden)
        layer = inner
    return [hidden for hidden, plain in found.items() if plain]


def readable(text: str) -> Iterator[tuple[str, bool]]:
    """What the decoders make of `text`, normalised: texts that read, and, with False, further encodings."""
    for candidate in from_bytes(text):
        hidden = normalise(candidate)
        plain = has_words(hidden)
        if plain or nested(hidden):
            yield hidden, plain
    for match in MORSE.finditer(text):
        if reads(hidden := from_morse(match[0])):
            yield hidden, True
    for hidden in exchanged(text):
        yield normalise(hidden), True


def has_words(text: str) -> bool:
    """Whether `text` is MIN_WORDS words parted by spaces, or MIN_LETTERS letters that need none."""
    words = sum(bool(WORD.search(word)) for word in text.split())
    return words >= MIN_WORDS or len(BEYOND.findall(text)) >= MIN_LETTERS


def reads(text: str) -> bool:
    """Whether `text` is at least MIN_WORDS words of which enough are common."""
    words = len(WORDS.findall(text))
    return words >= MIN_WORDS and len(common(text)) >= MIN_COMMON * words


def nested(text: str) -> bool:
    """Whether `text` is nothing but another encoding."""
    return len(text) >= MIN_RUN and bool(BASE64.fullmatch(text) or HEX.fullmatch(text) or BINARY.fullmatch(text))


def common(text: str) -> NDArray[np.int64]:
    """Where each common word of `text` begins and ends (n, 2)."""
    spans = [match.span() for match in WORDS.finditer(text) if match[0].lower() in PLAIN]
    return np.array(spans, np.int64).reshape(-1, 2)


def from_bytes(text: str) -> Iterator[str]:
    """The printable stretches of the bytes that runs of digits stand for, and `text` without its escapes."""
    for pattern in (BASE64, CHUNKED):
        for match in pattern.finditer(text):
            yield from from_base64(match[0])
    for match in HEX.finditer(text):
        yield from printable(bytes.fromhex(re.sub(r"0x|\\x|[^0-9a-fA-F]", "", match[0])))
    for match in BINARY.finditer(text):
        digits = re.sub(r"\s", "", match[0])
        yield from printable(bytes(int(digits[n : n + 8], 2) for n in range(0, len(digits), 8)))
    if sum(len(match[0]) for match in ESCAPES.finditer(text)) >= MIN_RUN:
        yield from PRINTABLE.findall(ESCAPES.sub(from_escape, text))


def printable(data: bytes) -> list[str]:
    """The stretches of `data` that are printable UTF-8."""
    return PRINTABLE.findall(data.decode(errors="replace"))


def from_base64(run: str) -> Iterator[str]:
    """The printable stretches of base64, in either alphabet, with or without gaps and padding.

    It is read from each of the four places in a group, as words before it may have been taken for a part of it.
    """
    run = re.sub(r"[\s=]+", "", run).translate(str.maketrans("-_", "+/"))
    if len(run) < MIN_RUN:
        return
    for begin in range(4):
        part = run[begin:]
        part = part[:-1] if len(part) % 4 == 1 else part
        yield from printable(base64.b64decode(part + "=" * (-len(part) % 4)))


def from_escape(match: re.Match[str]) -> str:
    r"""The characters of one or more `\u0041`, or of one `&#65;` or `&#x41;`."""
    if match[0][0] == "&":
        return html.unescape(match[0])
    return bytes.fromhex(match[0].replace("\\u", "")).decode("utf-16-be", "replace")


def from_morse(run: str) -> str:
    return " ".join("".join(LETTER.get(code, "") for code in word.split()) for word in re.split(r"/| {3,}", run))


def exchanged(text: str) -> Iterator[str]:
    """`text` with spelled words joined, and its stretches that turn out English when read in another way."""
    known = common(text)
    spelled = SPELLED.sub(from_spelled, text)
    if len(common(spelled)) > len(known):
        yield spelled
    yield from gained(from_leet(text), known)
    yield from gained(re.sub(r"\S+", lambda word: word[0][::-1], text), known)
    yield from gained(codecs.encode(text, "rot13"), known)
    yield from gained(text[::-1], len(text) - known[::-1, ::-1])


def gained(candidate: str, known: NDArray[np.int64]) -> Iterator[str]:
    """The stretches of `candidate` with common words at places where none are `known`."""
    new = np.setdiff1d(common(candidate)[:, 0], known[:, 0])
    begins = np.arange(0, len(candidate), STEP)
    blocks = begins[np.searchsorted(new, begins + BLOCK) - np.searchsorted(new, begins) >= MIN_GAINED]
    for run in np.split(blocks, np.flatnonzero(np.diff(blocks) > BLOCK + STEP) + 1):
        if run.size:
            yield candidate[max(run[0] - STEP, 0) : run[-1] + BLOCK + STEP]


def from_spelled(run: re.Match[str]) -> str:
    """`i g n o r e  a l l` or `i-g-n-o-r-e a-l-l`: the commonest separator parts letters, any other parts words."""
    [(letters, _)] = Counter(SEPARATORS.findall(run[0])).most_common(1)
    return SEPARATORS.sub(lambda gap: "" if gap[0] == letters else " ", run[0])


def from_leet(text: str) -> str:
    """`text` with digits and signs inside words as the letters they look like."""
    return LEETED.sub(lambda match: match[0].translate(LEET), text)
