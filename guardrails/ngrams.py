"""Hashed n-grams of words and characters, and what they weigh in every stretch of a text. Numpy only."""

import re
import zlib
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

BITS = 16
"""Each of the two kinds, words and characters, is hashed into 2 ** BITS buckets."""
SIZE = 2 << BITS
CHARACTERS = (3, 4, 5)
WORDS = (1, 2, 3)
PRIME = np.uint32(1_000_003)
MIX = np.uint32(2_654_435_761)
"""Knuth's multiplicative constant: its product's upper bits depend on every bit of a hash."""
WORD = re.compile(r"\w+|[^\w\s]")
SMOOTH = 20
"""Characters added to a stretch's length, so that a text of two words does not weigh like a sentence."""

Ids = NDArray[np.int64]


@lru_cache(maxsize=4)
def ngrams(text: str) -> tuple[Ids, Ids]:
    """The buckets of all n-grams of `text`, in [0, SIZE), and the character that each begins at; not to be changed.

    `text` is to be normalised; case does not matter. Runs in time linear in the text. Several heads read the same text
    one after the other, so the last few texts' are kept.
    """
    text = text.lower()
    points = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
    characters = rolling(points, CHARACTERS)
    found = [(m.start(), zlib.crc32(m[0].encode("utf-8", "replace"))) for m in WORD.finditer(text)]
    begins, hashes = np.array(found, np.int64).reshape(-1, 2).T
    words = rolling(hashes.astype(np.uint32), WORDS)
    rolled = [*characters, *words]
    if not rolled:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    buckets = bucket(np.concatenate(rolled))
    buckets[sum(map(len, characters)) :] += 1 << BITS
    places = np.arange(len(points))
    return buckets, np.concatenate([places[: len(r)] for r in characters] + [begins[: len(r)] for r in words])


def weigh_each(texts: list[str], weights: NDArray[np.float32]) -> NDArray[np.float64]:
    """What `weigh` gives for each whole text. All are read at once, which is much faster for many short ones."""
    lowered = [text.lower() for text in texts]
    points = np.frombuffer("".join(lowered).encode("utf-32-le", "replace"), np.uint32)
    words = [[zlib.crc32(word.encode("utf-8", "replace")) for word in WORD.findall(text)] for text in lowered]
    total = np.zeros(len(texts))
    kinds = (
        (points, [len(text) for text in lowered], CHARACTERS, 0),
        (np.array([one for text in words for one in text], np.uint32), [len(text) for text in words], WORDS, 1 << BITS),
    )
    for items, lengths, sizes, first in kinds:
        owners = np.repeat(np.arange(len(texts)), lengths)
        for size, rolled in zip(sizes, rolling(items, sizes), strict=False):
            found, last = owners[: len(rolled)], owners[size - 1 :]
            weight = np.where(found == last, weights[bucket(rolled) + first], 0)
            total += np.bincount(found, weight, len(texts))
    return np.asarray(total / np.sqrt(np.array([len(text) for text in texts]) + SMOOTH))


def bucket(hashes: NDArray[np.uint32]) -> Ids:
    """The bucket of each hash, among those of its kind."""
    return ((hashes * MIX) >> np.uint32(32 - BITS)).astype(np.int64)


def rolling(items: NDArray[np.uint32], sizes: tuple[int, ...]) -> list[NDArray[np.uint32]]:
    """For each of `sizes`, which ascend, a hash of every run of so many `items`: a polynomial in PRIME."""
    out = list[NDArray[np.uint32]]()
    rolled = np.zeros(len(items) + 1, np.uint32)
    for size in range(1, min(sizes[-1], len(items)) + 1):
        rolled = rolled[:-1] * PRIME + items[size - 1 :]
        if size in sizes:
            out.append(rolled + np.uint32(size * pow(int(PRIME), size, 1 << 32) & 0xFFFFFFFF))
    return out


def weigh(text: str, weights: NDArray[np.float32], stretches: list[tuple[int, int]]) -> NDArray[np.float64]:
    """For each stretch `text[a:b]`, the sum of its n-grams' `weights`, over the root of its length.

    An n-gram belongs to the stretch that it begins in. The text is read once, however many stretches there are.
    """
    buckets, starts = ngrams(text)
    at = np.bincount(starts, weights[buckets], len(text) + 1)
    total = np.concatenate(([0.0], np.cumsum(at)))
    begins, ends = np.array(stretches, np.int64).T
    return np.asarray((total[ends] - total[begins]) / np.sqrt(ends - begins + SMOOTH))
