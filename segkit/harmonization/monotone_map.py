"""Monotone functions through knots, continued by straight lines beyond them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class MonotoneMap:
    """Function that never falls, through knots (x, y): a monotone cubic spline or straight lines.

    The spline is the one of Fritsch and Carlson (1980), which has no extremes between the knots.
    Beyond the outermost knots the function goes on as a line with the slope from the first to the
    last knot, so that values in the tails keep their order.
    """

    x: Numbers
    """Strictly increasing."""
    y: Numbers
    """Not decreasing."""
    smooth: bool = True

    @property
    def slope(self) -> float:
        """Slope from the first to the last knot; 1 for a single knot."""
        if len(self.x) < 2:
            return 1.0
        return float((self.y[-1] - self.y[0]) / (self.x[-1] - self.x[0]))

    def __call__(self, values: NDArray[Any]) -> Numbers:
        """Return the function of each value, in float64."""
        inside = np.clip(values, self.x[0], self.x[-1]).astype(np.float64)
        result: Numbers = self.slope * (values - inside)
        result += self._interpolated(inside)
        return result

    def _interpolated(self, values: Numbers) -> Numbers:
        if self.smooth and len(self.x) > 1:
            return np.asarray(self._spline(values), dtype=np.float64)
        return np.asarray(np.interp(values, self.x, self.y), dtype=np.float64)

    @cached_property
    def _spline(self) -> Any:
        return scipy.interpolate.PchipInterpolator(self.x, self.y)


def monotone_map(x: Numbers, y: Numbers, *, smooth: bool = True) -> MonotoneMap:
    """Return the monotone function through the knots (x, y), neither of which decreases.

    Knots with equal x, as plateaus of 8-bit scans have, become one knot with their mean y.

    >>> function = monotone_map(np.array([0.0, 1, 1, 2]), np.array([0.0, 2, 4, 6]), smooth=False)
    >>> function(np.array([-1.0, 0.5, 1, 3])).tolist()
    [-3.0, 1.5, 3.0, 9.0]
    """
    distinct, knot = np.unique(x, return_inverse=True)
    means = np.bincount(knot, weights=y) / np.bincount(knot)
    return MonotoneMap(distinct, means, smooth)
