"""Calibration of the probabilities of a label: do they say how often the label is right?

Probabilities are sorted into bins of equal width. The expected calibration error (ECE) is the mean
difference between the probabilities of a bin and the share of its voxels in the reference, weighted
by the number of voxels (Guo et al. 2017, arXiv 1706.04599, for one label against the rest). The
Brier score is the mean squared difference between probability (0 to 1) and reference (0 or 1).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkit.evaluation.overlap import Mask

BINS = 15
"""Number of bins, as in Guo et al.; the steps of 1/255 in which maps are written divide evenly."""


@dataclass(frozen=True, eq=False)
class Reliability:
    """Sums over voxels, in bins of their probability; those of two blocks can be added.

    >>> found = reliability(np.array([0.8, 0.8, 0.8, 0.1]), np.array([True, True, False, False]))
    >>> round(found.ece(), 4), round(found.brier(), 4)
    (0.125, 0.1825)
    """

    voxels: NDArray[np.int64]
    """Number of voxels of each bin, (BINS,)."""
    probability: NDArray[np.float64]
    """Sum of the probabilities of each bin, (BINS,)."""
    in_reference: NDArray[np.int64]
    """Number of voxels of each bin that are in the reference, (BINS,)."""
    squared_error: float
    """Sum of the squared differences between probability and reference."""

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(
            self.voxels + other.voxels,
            self.probability + other.probability,
            self.in_reference + other.in_reference,
            self.squared_error + other.squared_error,
        )

    def ece(self) -> float:
        """Return the expected calibration error; NaN without voxels."""
        total = int(self.voxels.sum())
        gaps = np.abs(self.probability - self.in_reference)
        return float(gaps.sum() / total) if total else math.nan

    def brier(self) -> float:
        """Return the Brier score; NaN without voxels."""
        total = int(self.voxels.sum())
        return self.squared_error / total if total else math.nan


def reliability(probabilities: NDArray[np.floating], truth: Mask) -> Reliability:
    """Return the sums over the voxels of a block.

    Args:
        probabilities: probabilities of a label, 0 to 1, of any shape.
        truth: whether each voxel has the label in the reference, of the same shape.
    """
    values, right = np.ravel(probabilities).astype(np.float64), np.ravel(truth)
    # Rounding must not move a probability of 17/255, the lower end of a bin, into the bin below.
    bins = np.minimum((values * BINS + 1e-6).astype(np.int64), BINS - 1)
    return Reliability(
        np.bincount(bins, minlength=BINS),
        np.bincount(bins, weights=values, minlength=BINS).astype(np.float64),
        np.bincount(bins[right], minlength=BINS),
        float(np.square(values - right).sum()),
    )


NO_VOXELS = reliability(np.empty(0), np.empty(0, np.bool_))
"""Sums over no voxels, to which those of blocks are added."""
