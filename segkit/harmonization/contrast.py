"""Differences between groups and contrast of labels: the first should go, the second stay."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def between_group_share(values: Sequence[float], groups: Sequence[str]) -> float | None:
    """Return the share of the variance that lies between groups (eta squared), from 0 to 1.

    The result is None if all values are equal.

    >>> between_group_share([1.0, 3.0, 11.0, 13.0], ["a", "a", "b", "b"])
    0.9615384615384616
    """
    numbers = np.array(values)
    total = float(np.square(numbers - numbers.mean()).sum())
    if not total:
        return None
    between = 0.0
    for name in set(groups):
        members = numbers[[group == name for group in groups]]
        between += len(members) * float(members.mean() - numbers.mean()) ** 2
    return between / total


def contrast(inside: NDArray[np.float64], outside: NDArray[np.float64]) -> float | None:
    """Return the contrast-to-noise ratio of two sets of values.

    It is the difference of their means in units of the square root of their mean variance; None if
    a set is empty or both are constant.

    >>> contrast(np.array([3.0, 5.0]), np.array([0.0, 2.0]))
    3.0
    """
    if not inside.size or not outside.size:
        return None
    noise = math.sqrt((float(inside.var()) + float(outside.var())) / 2)
    return float(inside.mean() - outside.mean()) / noise if noise else None
