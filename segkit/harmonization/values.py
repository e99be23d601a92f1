"""The values of a scan in a few numbers: quantiles, mean and standard deviation of each channel.

`segkit.preprocessing.content_values` computes them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

LEVELS = 512
"""Number of quantiles that are kept of a channel."""
PROBABILITIES = (np.arange(LEVELS) + 0.5) / LEVELS
"""Probability of each quantile that is kept."""


@dataclass(frozen=True, eq=False)
class ChannelValues:
    """Values of one channel of one scan, without its constant border."""

    quantiles: NDArray[np.float64]
    """Quantiles (LEVELS,) at PROBABILITIES."""
    mean: float
    std: float

    def at(self, probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the quantiles at some probabilities, interpolated between those that are kept."""
        return np.interp(probabilities, PROBABILITIES, self.quantiles)
