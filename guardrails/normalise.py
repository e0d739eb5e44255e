"""Text as a reader would see it, for the checks only: what is asked, searched and stored stays as it came."""

import re
import unicodedata

TAGS = re.compile("[\U000e0020-\U000e007e]+")
"""Unicode tag characters mirror ASCII invisibly; hidden instructions are smuggled in them."""
EMOJI_FLAG = re.compile("\U0001f3f4[\U000e0061-\U000e007a\U000e0030-\U000e0039]{2,6}\U000e007f")
"""The one honest use of tag characters: the flags of England, Scotland, Wales."""
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff]"
)
"""Soft hyphens, zero-width and direction marks, variation selectors: they split words without being seen."""
SPACES = re.compile(r"\s+")
QUOTES = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2011\u2012\u2013\u2014", "''\"\"-----")


def normalise(text: str) -> str:
    """Return `text` in NFKC, without invisible characters, tags as the ASCII they hide, every gap one space."""
    text = TAGS.sub(lambda m: " " + "".join(chr(ord(c) - 0xE0000) for c in m[0]) + " ", EMOJI_FLAG.sub("", text))
    text = unicodedata.normalize("NFKC", INVISIBLE.sub("", text)).translate(QUOTES)
    return SPACES.sub(" ", text).strip()


def hidden(text: str) -> int:
    """How many tag characters hide in `text`, flags of countries aside."""
    return sum(len(m[0]) for m in TAGS.finditer(EMOJI_FLAG.sub("", text)))
