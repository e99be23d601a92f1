"""How sure a mean over cases is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

LEVEL = 0.95


def half_width(values: Sequence[float]) -> float | None:
    """Half the width of the 95 % confidence interval of the mean of ``values``: Student's t x s / sqrt(n).

    t rather than 1.96, because a fold has few cases: with 5 of them t is 2.78. None for fewer than two values.

    >>> round(half_width([0.8, 0.9, 1.0]), 4)
    0.2484
    """
    if len(values) < 2:
        return None
    quantile = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2))
    return quantile * float(np.std(values, ddof=1)) / math.sqrt(len(values))
