"""Where to look in a long text: overlapping stretches, since an embedding sees a few hundred characters at a time."""

from collections.abc import Sequence

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


def windows(length: int) -> list[tuple[int, int]]:
    """The head of a text of `length` characters, then stretches of WIDTH every STEP that reach its end.

    Padding of any length hides nothing: every run of STEP characters lies whole within one of them.
    """
    head = (0, min(length, HEAD))
    if length <= HEAD:
        return [head]
    last = length - WIDTH
    return [head, *((begin, begin + WIDTH) for begin in range(0, last, STEP)), (last, length)]


def margins(stretches: Sequence[tuple[int, int]]) -> NDArray[np.float64]:
    """What is to be taken off the logit of each stretch."""
    return np.array([MARGIN if end - begin > LONG else 0.0 for begin, end in stretches])
