"""Text as a reader would see it, for the checks only: what is asked, searched and stored stays as it came."""

import re
import unicodedata

TAGS = re.compile("[\U000e0020-\U000e007e]+")
"""Unicode tag characters mirror ASCII invisibly; hidden instructions are smuggled in them."""
COUNTRIES = "gbeng", "gbsct", "gbwls"
EMOJI_FLAG = re.compile(
    "\U0001f3f4(?:" + "|".join("".join(chr(0xE0000 + ord(c)) for c in name) for name in COUNTRIES) + ")\U000e007f"
)
"""The one honest use of tag characters: the flags of England, Scotland, Wales."""
INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff"
    "\U000e0001\U000e007f\U000e0100-\U000e01ef]"
)
"""Soft hyphens, zero-width and direction marks, variation selectors and the like: they split words unseen."""
SPACES = re.compile(r"\s+")
QUOTES = str.maketrans("\u2018\u2019\u201c\u201d\u2010\u2011\u2012\u2013\u2014", "''\"\"-----")
ACCENTS = re.compile("[\u0300-\u036f]")
"""Combining accents of Latin, Greek and Cyrillic; the vowel signs of other scripts lie elsewhere and stay."""
LOOKALIKES = {
    "аɑα": "a", "ьƄ": "b", "сϲᴄⅽ": "c", "ԁɗᴅ": "d", "еҽεᴇ": "e", "ғꜰ": "f", "ɡցɢ": "g", "һհʜ": "h",
    "іıɩιɪ": "i", "јϳᴊ": "j", "кκᴋ": "k", "ӏⅼʟǀ": "l", "мᴍⅿ": "m", "пոɴ": "n", "оοσօᴏ": "o", "рρᴘ": "p",
    "ԛ": "q", "гʀ": "r", "ѕꜱʂ": "s", "тτᴛ": "t", "υսᴜцʋ": "u", "νѵᴠ": "v", "ѡωԝᴡ": "w", "хχ": "x",
    "уγүʏ": "y", "ᴢʐ": "z", "АΑ": "A", "ВΒʙ": "B", "СϹ": "C", "ЕΕ": "E", "НΗ": "H", "ІΙ": "I", "Ј": "J", "КΚ": "K",
    "МΜ": "M", "Ν": "N", "ОΟ": "O", "РΡ": "P", "Ѕ": "S", "ТΤ": "T", "ХΧ": "X", "ΥУ": "Y", "Ζ": "Z",
}  # fmt: skip
"""Letters of other scripts, and small capitals, by the Latin letter they pass for (from Unicode's confusables.txt)."""
LATIN = {ord(c): latin for letters, latin in LOOKALIKES.items() for c in letters}
LATIN |= {first + n: chr(97 + n) for first in (0x1F130, 0x1F150, 0x1F170) for n in range(26)}
FOREIGN = re.compile("[" + "".join(map(chr, LATIN)) + "]")
LETTERS = re.compile("[A-Za-z]")
OTHER = re.compile("[^\\W\\d_A-Za-z" + "".join(map(chr, LATIN)) + "]")
"""Letters that pass for no Latin one."""


def normalise(text: str) -> str:
    """Return `text` in NFKC, in Latin letters where others pass for them, without accents and invisible characters.

    Tag characters become the ASCII they hide, and every gap one space.
    """
    if not text.isascii():
        text = TAGS.sub(lambda m: " " + "".join(chr(ord(c) - 0xE0000) for c in m[0]) + " ", EMOJI_FLAG.sub("", text))
        text = unicodedata.normalize("NFKD", INVISIBLE.sub("", text))
        text = unicodedata.normalize("NFKC", ACCENTS.sub("", text)).translate(QUOTES)
        text = latin(text)
    return SPACES.sub(" ", text).strip()


def latin(text: str) -> str:
    """`text` with lookalikes replaced, unless it is in their script and has letters that are none."""
    if not FOREIGN.search(text):
        return text
    latin, others = len(LETTERS.findall(text)), len(OTHER.findall(text))
    return text.translate(LATIN) if not others or latin > others + len(FOREIGN.findall(text)) else text


def hidden(text: str) -> int:
    """How many tag characters hide in `text`, flags of countries aside."""
    return sum(len(m[0]) for m in TAGS.finditer(EMOJI_FLAG.sub("", text)))
