"""Cuts text into cells: words, and runs of words that may belong together (groups of a number, a private key).

Nothing sensitive reaches over the edge of a cell, and where the edges lie does not depend on how the text came
in pieces; so masking cell by cell gives what masking the whole text gives, and never lets a first part go.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from guardrails.keys import KEY_BEGIN, KEY_END
from guardrails.sensitive import plain

LIMIT = 16_384
"""Characters a word or cell may have. No honest text gets there; beyond it nothing more is let out."""

PAST = 80
"""Characters before a cell that may tell what it is."""

BREAK = (
    r"\s\u2e80-\u3163\u3165-\ufdff\ufe10-\ufefe\uff00\uff5f-\uff9f\uffa1-\uffef\ufff9-\U0001bc9f"
    r"\U0001bca4-\U0001d172\U0001d17b-\U000dffff\U000e1000-\U0010ffff"
)
"""Spaces, and the scripts written without them (CJK, Hangul, also emoji): no pattern matches across these.

Full-width ASCII and invisible characters are none of them."""
WORD = re.compile(rf"[^{BREAK}]{{1,{LIMIT}}}")

NUMERIC = re.compile(r"(?:^|[^A-Za-z0-9])[A-Z]{0,2}\d[A-Z0-9()./-]*$|^ext\.?$")
"""Ends like a group of a number: another group or an extension may follow."""
LETTERS = re.compile(r"[A-Z0-9]{1,4}$")
"""A group of an account number, once one has begun."""
GROUP = re.compile(r"\(?\d|[A-Z0-9]{1,4}(?![A-Za-z0-9])|x\d|ext\b")
"""Starts like a further group."""
GAP = re.compile(r"[ \t\xa0\u2000-\u200a\u202f\u205f]{1,2}")
"""Between words that may belong together."""
AT = re.compile(r"(?i)@|[\[({<]at[\])}>]|at")
DOT = re.compile(r"(?i)\.|[\[({<](?:dot|\.)[\])}>]|dot")
STARTS = frozenset(["", *"@aAdD.[({<"])
"""First characters of the words for both; a word may begin unseen."""
LOCAL = re.compile(r"\w$")
LABEL = re.compile(r"[A-Za-z0-9-]")
SPELLED = re.compile(
    rf"(?i)(?:\s(?:{AT.pattern[4:]})\s|@\s|[\[({{<]at[\])}}>]|@)[^\s@]+(?:\s(?:{DOT.pattern[4:]})\s\S+)*$"
)
"""An address that is spelled out, up to a word before a dot."""
BEGIN = "-----BEGIN"
HEADER = re.compile(rf"{BEGIN}(?: [A-Z0-9]{{1,20}}){{0,5}}(?: -*)?$")
"""The header of a key, not yet complete."""
PROSE = re.compile(r"[A-Za-z]?[a-z]*[.,;:!?)]*$")
"""A word that cannot be a line of a key."""
HEADED = re.compile(KEY_BEGIN)
ENDED = re.compile(KEY_END)


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell and the gap before it; `before` is the text before the cell, `after` the word that was seen behind it."""

    gap: str
    text: str
    before: str
    after: str


class Cutter:
    """Cuts text that comes in pieces into cells. Where it cuts does not depend on the pieces."""

    def __init__(self) -> None:
        self.rest = ""  # begins with the cell under way, once there is one
        self.end = 0  # of that cell, as far as it is known
        self.last = 0  # where its last word starts
        self.key = -1  # where in it the last private key may begin
        self.past = ""
        self.after = ""
        self.closed = False

    def cut(self, text: str, final: bool) -> Iterator[Cell]:
        """Take new text, yield the cells whose end is known. A cell without text is a gap."""
        self.rest += "" if self.closed else text
        while self.rest:
            gap = ""
            if not self.end:
                word = WORD.search(self.rest)
                begin = word.start() if word else len(self.rest)
                gap, self.rest = self.rest[:begin], self.rest[begin:]
                self.past = (self.past + gap)[-PAST:]
            if not self.rest or not self.grow(final):
                yield Cell(gap, "", self.past, "")
                return
            cell, before = self.rest[: self.end], self.past
            self.closed = self.end >= LIMIT
            self.rest = "" if self.closed else self.rest[self.end :]
            self.past = (self.past + cell)[-PAST:]
            self.end = self.last = 0
            self.key = -1
            yield Cell(gap, cell, before, self.after)

    def grow(self, final: bool) -> bool:
        """Join words to the cell under way while they belong to it; True when its end is known."""
        while True:
            word = WORD.search(self.rest, self.end)
            whole = word is not None and (final or word.end() < len(self.rest) or len(word[0]) == LIMIT)
            if self.end:
                known = self.known(word, final)
                if known is not None or word is None or not whole:
                    return bool(known)
                if not self.joins(self.rest[self.end : word.start()], word[0]):
                    self.after = word[0][:32]
                    return True
            elif word is None or not whole:
                return False
            self.end, self.last, self.after = word.end(), word.start(), ""
            self.key = max(self.key, self.rest.rfind(BEGIN, word.start(), word.end()))

    def known(self, word: re.Match[str] | None, final: bool) -> bool | None:
        """Whether the cell's end is known before the whole word behind it is: None when that word decides."""
        if self.end >= LIMIT or (word is None and final):
            return True
        gap = self.rest[self.end : word.start() if word else len(self.rest)]
        if self.in_key():
            return None if word else False
        if gap and not GAP.fullmatch(gap):
            return True
        if word is None:
            return False
        undecided = self.opens() or self.spelling() or plain(word[0])[:1] in STARTS
        return None if undecided else True

    def tail(self) -> str:
        """The end of the last word of the cell under way."""
        return plain(self.rest[max(self.last, self.end - 64) : self.end])

    def in_key(self) -> bool:
        """Whether a private key has begun in the cell under way and not ended."""
        if self.key < 0:
            return False
        key = self.rest[self.key : self.end]
        return bool(HEADER.match(key)) or bool(HEADED.match(key) and not ENDED.search(key))

    def opens(self) -> bool:
        """Whether a number, an account or a key may go on in the word behind the cell under way."""
        tail = self.tail()
        return bool(NUMERIC.search(tail)) or (self.last > 0 and bool(LETTERS.match(tail))) or self.in_key()

    def spelling(self) -> bool:
        """Whether the cell under way ends within an address that is spelled out, before one of its names."""
        tail = self.tail()
        return (self.last > 0 and bool(AT.fullmatch(tail) or DOT.fullmatch(tail))) or (
            len(tail) > 1 and tail.endswith("@")
        )

    def spells(self, word: str) -> bool:
        """Whether `word` goes on with an address that is spelled out: ada [at] example [dot] com."""
        word = plain(word)
        if self.spelling():
            return bool(LABEL.match(word))
        if AT.fullmatch(word):
            return bool(LOCAL.search(plain(self.rest[max(0, self.end - 64) : self.end])))
        return bool(DOT.fullmatch(word) and SPELLED.search(plain(self.rest[max(0, self.end - 320) : self.end])))

    def joins(self, gap: str, word: str) -> bool:
        """Whether `word`, `gap` behind the cell under way, belongs to it."""
        if self.in_key():
            cell = self.rest[: self.end]
            return not gap.strip() and not (HEADED.search(cell) and "-----END" not in cell and PROSE.match(word))
        return bool(GAP.fullmatch(gap)) and ((self.opens() and bool(GROUP.match(plain(word)))) or self.spells(word))
