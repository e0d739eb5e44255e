"""Confidence intervals by the percentile bootstrap, seeded: the same rows give the same interval."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

ROUNDS = 1_000


def bootstrap(rows: int, figure: Callable[[NDArray[np.int64]], float], rounds: int = ROUNDS) -> list[float]:
    """The 95 % interval of `figure`, which takes row numbers drawn with replacement; NaN values are left out."""
    generator = np.random.default_rng(0)
    drawn = (figure(generator.integers(0, rows, rows)) for _ in range(rounds if rows else 0))
    found = [value for value in drawn if not np.isnan(value)]
    return [float(v) for v in np.percentile(found, [2.5, 97.5])] if found else [float("nan")] * 2
