"""Near-identical passages: signatures of their words, and which passages the others are said by."""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import mmh3
import numpy as np
from datasketch import MinHash, MinHashLSH

from rag.manifest import digest

PERMUTATIONS = 64
SHINGLE = 3
"""Words in one shingle."""
THRESHOLD = 0.9
"""Share of shingles that two passages have in common to count as one."""
SCHEME = "affine32"
MURMUR = partial(mmh3.hash, signed=False)
"""MurmurHash3's 32 bits of a shingle; datasketch's own SHA-1 takes longer than all else that a signature needs."""
WORD = re.compile(r"\w+")
NEGATIVE = "not no never none nor neither nothing nobody without cannot t except unless only"
"""Words that turn a sentence round; `t` is what is left of don't."""
NEGATIONS = frozenset(NEGATIVE.split())


@dataclass(frozen=True, slots=True)
class Signature:
    """`same` is equal for texts that differ in blanks only; `near` estimates how many shingles two texts share."""

    same: bytes
    near: bytes


def signature(text: str) -> Signature:
    """The signature of a passage's text. Texts are never near with other `telling` words: one asks for those."""
    written = WORD.findall(text)
    words = [word.lower() for word in written]
    shingles = {" ".join(words[n : n + SHINGLE]).encode() for n in range(max(len(words) - SHINGLE + 1, 1))}
    minhash = MinHash(PERMUTATIONS, permutations=permutations(), scheme=SCHEME, hashfunc=MURMUR)
    minhash.update_batch(shingles)
    told = " ".join(word.lower() for word in written if telling(word))
    same = bytes.fromhex(digest(" ".join(text.split()).encode()))[:16]
    return Signature(same, bytes.fromhex(digest(told.encode()))[:8] + minhash.hashvalues.astype("<u4").tobytes())


def telling(word: str) -> bool:
    """Whether the word is a number, a negation or perhaps a name: written with a capital, be it first in a sentence."""
    return word != word.lower() or word in NEGATIONS or any(map(str.isdigit, word))


@cache
def permutations() -> Any:
    """The hash functions, made once."""
    return MinHash(PERMUTATIONS, scheme=SCHEME).permutations


class Duplicates:
    """Finds, for one passage after another, the earlier one that says the same in the same scope."""

    def __init__(self) -> None:
        self._same: dict[tuple[Hashable, bytes], int] = {}
        self._near = MinHashLSH(THRESHOLD, PERMUTATIONS)
        self._values: dict[int, np.ndarray[Any, Any]] = {}

    def earlier(self, number: int, scope: Hashable, found: Signature) -> int | None:
        """The number of the earlier passage of the same `scope` that this one repeats; else remember this one.

        The scope is all beside the text that must be equal.
        """
        known = self._same.get((scope, found.same))
        if known is not None:
            return known
        # Another scope or other telling words turn every value into another: such passages never meet in a bucket.
        salt = int(digest(repr(scope).encode(), found.near[:8])[:8], 16)
        values = np.frombuffer(found.near[8:], "<u4") ^ np.uint32(salt)
        minhash = MinHash(PERMUTATIONS, permutations=permutations(), scheme=SCHEME, hashvalues=values)
        for other in sorted(self._near.query(minhash)):
            if float((self._values[other] == values).mean()) >= THRESHOLD:
                return int(other)
        self._same[scope, found.same] = number
        self._near.insert(number, minhash)
        self._values[number] = values
        return None
