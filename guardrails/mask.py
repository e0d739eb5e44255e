"""Masks secrets and personal data in a stream, and in whole texts for traces and logs.

Text is cut into cells: words, and runs of words that may belong together (groups of a number, a bearer token, a private
key). Nothing sensitive reaches over the edge of a cell, and where the edges lie does not depend on how the text came
in pieces; so masking cell by cell gives what masking the whole text gives, and never lets a first part go.
"""

import re

from guardrails.sensitive import KEY_BEGIN, KEY_END, mask_cell

LIMIT = 16_384
"""Characters a word or cell may have. No honest text gets there; beyond it nothing more is let out."""
WITHHELD = "[withheld]"

BREAK = r"\s\u2e80-\U0010ffff"
"""Spaces, and the scripts written without them (CJK, Hangul, also emoji): no pattern matches across these."""
WORD = re.compile(rf"[^{BREAK}]{{1,{LIMIT}}}")

NUMERIC = re.compile(r"(?:^|[^A-Za-z0-9])[A-Z]{0,2}\d[A-Z0-9()./-]*$")
"""Ends like a group of a number: another group may follow."""
LETTERS = re.compile(r"[A-Z0-9]{1,4}$")
"""A group of an account number, once one has begun."""
GROUP = re.compile(r"\(?\d|[A-Z0-9]{1,4}(?![A-Za-z0-9])|x\d|ext\b")
"""Starts like a further group."""
HEADER = re.compile(r"-----BEGIN(?: [A-Z0-9]{1,20}){0,5}(?: -*)?$")
"""The header of a key, not yet complete."""
PROSE = re.compile(r"[A-Za-z]?[a-z]*[.,;:!?)]*$")
"""A word that cannot be a line of a key."""
HEADED = re.compile(KEY_BEGIN)
ENDED = re.compile(KEY_END)


def in_key(cell: str) -> bool:
    """Whether a private key has begun in `cell` and not ended."""
    begin = cell.rfind("-----BEGIN")
    if begin < 0:
        return False
    return bool(HEADER.match(cell, begin)) or bool(HEADED.match(cell, begin) and not ENDED.search(cell, begin))


def opens(cell: str, last: int) -> bool:
    """Whether a word may still join `cell`, whose last word starts at `last`."""
    tail = cell[max(last, len(cell) - 64) :]
    if NUMERIC.search(tail) or tail[-6:].lower() == "bearer":
        return True
    return (last > 0 and bool(LETTERS.match(tail))) or in_key(cell)


def joins(cell: str, gap: str, word: str) -> bool:
    """Whether `word`, `gap` behind an open `cell`, belongs to it."""
    if in_key(cell):
        return not gap.strip() and not (HEADED.search(cell) and "-----END" not in cell and PROSE.match(word))
    if gap not in {" ", "\t", "\xa0"}:
        return False
    return cell[-6:].lower() == "bearer" or bool(GROUP.match(word))


class StreamMasker:
    """Role `Masker` of rag/stages.py. Prose is held back to the end of its word, a number to the word behind it."""

    def __init__(self) -> None:
        self.rest = ""  # begins with the cell under way, once there is one
        self.end = 0  # of that cell, as far as it is known
        self.last = 0  # where its last word starts
        self.closed = False

    def feed(self, text: str) -> str:
        """Take new text, return what may leave."""
        return self.release(text, final=False)

    def flush(self) -> str:
        """Return the rest."""
        return self.release("", final=True)

    def release(self, text: str, final: bool) -> str:
        """Cut off and mask the cells whose end is known."""
        if self.closed:
            return ""
        self.rest += text
        out = []
        while self.rest:
            if not self.end:
                word = WORD.search(self.rest)
                begin = word.start() if word else len(self.rest)
                out.append(self.rest[:begin])
                self.rest = self.rest[begin:]
            if not self.rest or not self.grow(final):
                break
            if self.end >= LIMIT:
                self.closed, self.rest = True, ""
                out.append(WITHHELD)
                break
            out.append(mask_cell(self.rest[: self.end]))
            self.rest, self.end, self.last = self.rest[self.end :], 0, 0
        return "".join(out)

    def grow(self, final: bool) -> bool:
        """Join words to the cell under way while they belong to it; True when its end is known."""
        while True:
            word = WORD.search(self.rest, self.end)
            whole = word is not None and (final or word.end() < len(self.rest) or len(word[0]) == LIMIT)
            if self.end:
                cell = self.rest[: self.end]
                if self.end >= LIMIT or not opens(cell, self.last):
                    return True
                if word is None or not whole:
                    return final
                if not joins(cell, self.rest[self.end : word.start()], word[0]):
                    return True
            elif word is None or not whole:
                return False
            self.end, self.last = word.end(), word.start()


def mask(text: str) -> str:
    """Mask a whole text, exactly as a stream of it would be."""
    masker = StreamMasker()
    return masker.feed(text) + masker.flush()
