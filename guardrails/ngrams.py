"""Hashed n-grams of words and characters, and what they weigh in every stretch of a text. Numpy only."""

import re
import zlib

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


def ngrams(text: str) -> tuple[Ids, Ids]:
    """The buckets of all n-grams of `text`, in [0, SIZE), and the character that each begins at.

    `text` is to be normalised; case does not matter. Runs in time linear in the text.
    """
    text = text.lower()
    points = np.frombuffer(text.encode("utf-32-le", "replace"), np.uint32)
    buckets, starts = list[Ids](), list[Ids]()
    for rolled in rolling(points, CHARACTERS):
        buckets.append(bucket(rolled))
        starts.append(np.arange(len(rolled)))
    found = [(m.start(), zlib.crc32(m[0].encode("utf-8", "replace"))) for m in WORD.finditer(text)]
    if found:
        begins, words = np.array(found, np.int64).T
        for rolled in rolling(words.astype(np.uint32), WORDS):
            buckets.append(bucket(rolled) + (1 << BITS))
            starts.append(begins[: len(rolled)])
    if not buckets:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    return np.concatenate(buckets), np.concatenate(starts)


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


def rolling(items: NDArray[np.uint32], sizes: tuple[int, ...]) -> list[NDArray[np.uint32]]:
    """For each of `sizes`, a hash of every run of so many `items`."""
    out = list[NDArray[np.uint32]]()
    for size in sizes:
        if len(items) < size:
            break
        count = len(items) - size + 1
        rolled = np.full(count, size, np.uint32)
        for n in range(size):
            rolled = rolled * PRIME + items[n : n + count]
        out.append(rolled)
    return out


def bucket(hashes: NDArray[np.uint32]) -> Ids:
    return ((hashes * MIX) >> np.uint32(32 - BITS)).astype(np.int64)


def weigh(text: str, weights: NDArray[np.float32], stretches: list[tuple[int, int]]) -> NDArray[np.float64]:
    """For each stretch `text[a:b]`, the sum of its n-grams' `weights`, over the root of its length.

    An n-gram belongs to the stretch that it begins in. The text is read once, however many stretches there are.
    """
    buckets, starts = ngrams(text)
    at = np.bincount(starts, weights[buckets], len(text) + 1)
    total = np.concatenate(([0.0], np.cumsum(at)))
    begins, ends = np.array(stretches, np.int64).T
    return np.asarray((total[ends] - total[begins]) / np.sqrt(ends - begins + SMOOTH))
