"""Where to look in a long text: overlapping stretches, since an embedding sees a few hundred characters at a time.

Stretches of fixed width find attacks that are long themselves. One sentence amid others on another matter drowns in
them, so each sentence, and each pair of neighbours, is a stretch too.
"""

import math
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

HEAD = 1_000
"""Characters of a text that its own vector stands for: about the 256 tokens that the bundled model reads."""
WIDTH = 600
STEP = 300
LONG = 300
MARGIN = 3.0
"""How far a stretch over LONG characters must be over the threshold, in logits: much text has more that looks like an
attack by chance. Chosen by rows unseen in training: it halves the false alarms of pasted pages and task briefs."""
LONGER = 1.0
"""What comes to it with each doubling of the whole text beyond WIDTH, as twice the stretches are twice the chances. Of
texts of kinds unseen in training it takes the false alarms over 1,000 characters from 22 to 7 %, over 2,500 from 47 to
13 %, and of the attacks among them 1 and 2 %."""
MOST = 3.0
"""The most that comes to it: so padding of any length takes no more from an attack than 5,000 characters do."""

SENTENCE_MARGIN = 4.0
"""The same for sentences: a long text has many. Of 250 attacks amid pasted pages, 90 % are found with it, and of
1,200 long texts without one 2 % are refused; stretches of fixed width alone find 7 % of these attacks."""
MAX_SENTENCE = 400
MAX_SENTENCES = 2_000
END = re.compile(r"(?<=[.!?。！？])[\"')\]]*\s+|\n")
WORD = re.compile(r"\w{2,}")
MIN_WORDS = 3


def sentences(text: str) -> Iterator[str]:
    """The sentences and lines of `text` that have MIN_WORDS words, in pieces of at most MAX_SENTENCE characters."""
    for part in END.split(text):
        for begin in range(0, len(part), MAX_SENTENCE):
            if len(WORD.findall(part, begin, begin + MAX_SENTENCE)) >= MIN_WORDS:
                yield part[begin : begin + MAX_SENTENCE]


def pairs(sentences: Sequence[str]) -> tuple[str, list[tuple[int, int]]]:
    """The sentences as one text, and where in it each of them and each pair of neighbours stands."""
    spans, begin = list[tuple[int, int]](), 0
    for sentence in sentences:
        spans.append((begin, begin + len(sentence)))
        begin += len(sentence) + 1
    return " ".join(sentences), spans + [(a, b) for (a, _), (_, b) in pairwise(spans)]


def windows(length: int) -> list[tuple[int, int]]:
    """The head of a text of `length` characters, then stretches of WIDTH every STEP that reach its end.

    Padding of any length hides nothing: every run of STEP characters lies whole within one of them.
    """
    head = (0, min(length, HEAD))
    if length <= HEAD:
        return [head]
    last = length - WIDTH
    return [head, *((begin, begin + WIDTH) for begin in range(0, last, STEP)), (last, length)]


def margins(stretches: Sequence[tuple[int, int]], length: int) -> NDArray[np.float64]:
    """What is to be taken off the logit of each stretch of a text of `length` characters."""
    margin = MARGIN + min(max(LONGER * math.log2(max(length, 1) / WIDTH), 0.0), MOST)
    return np.array([margin if end - begin > LONG else 0.0 for begin, end in stretches])


def apart(texts: Sequence[str]) -> tuple[str, list[tuple[int, int]], NDArray[np.float64]]:
    """The texts as one, where in it the stretches of each stand, and the margins of these."""
    spans, margin, begin = list[tuple[int, int]](), list[NDArray[np.float64]](), 0
    for text in texts:
        own = windows(len(text))
        margin.append(margins(own, len(text)))
        spans += [(begin + a, begin + b) for a, b in own]
        begin += len(text) + 1
    return " ".join(texts), spans, np.concatenate(margin)
