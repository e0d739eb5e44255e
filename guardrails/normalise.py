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
IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
"""What splits words unseen: Default_Ignorable_Code_Point (Unicode's DerivedCoreProperties.txt), and Braille's blank."""
INVISIBLE = re.compile(f"[{IGNORABLE}]")
MARKS = "".join(filter(unicodedata.combining, map(chr, range(0x300, 0x1E94B))))
HEAP = re.compile(f"([{MARKS}]{{30}})[{MARKS}]+")
"""More marks on a letter than UAX #15's Stream-Safe Text Format lets stand: to order them takes quadratic time."""
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
LOOKS = "".join(map(chr, LATIN))
FOREIGN = re.compile(f"[{LOOKS}]")
LETTERS = re.compile("[A-Za-z]")
WORD = re.compile(rf"(?:[^\W\d_\u2e80-\U0010ffff]|[{LOOKS}])+")
"""In an alphabet: the scripts that words are not parted in have no letters that pass for Latin ones."""


def normalise(text: str) -> str:
    """Return `text` in NFKC, in Latin letters where others pass for them, without accents and invisible characters.

    Tag characters become the ASCII they hide, and every gap one space.
    """
    if not text.isascii():
        text = TAGS.sub(lambda m: " " + "".join(chr(ord(c) - 0xE0000) for c in m[0]) + " ", EMOJI_FLAG.sub("", text))
        text = unicodedata.normalize("NFKD", HEAP.sub(r"\1", INVISIBLE.sub("", text)))
        text = unicodedata.normalize("NFKC", ACCENTS.sub("", text)).translate(QUOTES)
        text = latin(text)
    return SPACES.sub(" ", text).strip()


def latin(text: str) -> str:
    """`text` with lookalikes replaced: in words that are Latin otherwise, and in all if the words are, taken together.

    A word of lookalikes alone may be honest Cyrillic, so it is read as the other words are.
    """
    if not FOREIGN.search(text):
        return text
    whole = mostly_latin("".join(WORD.findall(text)))
    return WORD.sub(
        lambda m: m[0].translate(LATIN) if whole or (LETTERS.search(m[0]) and mostly_latin(m[0])) else m[0], text
    )


def mostly_latin(letters: str) -> bool:
    """Whether no other letters than Latin ones and lookalikes are among `letters`, or more Latin ones than others."""
    latin, foreign = len(LETTERS.findall(letters)), len(FOREIGN.findall(letters))
    return latin + foreign == len(letters) or 2 * latin > len(letters)


def hidden(text: str) -> int:
    """How many tag characters hide in `text`, flags of countries aside."""
    return sum(len(m[0]) for m in TAGS.finditer(EMOJI_FLAG.sub("", text)))
