"""Overlap and volume of two masks (X, Y, Z) on one grid.

All metrics are NaN if both masks are empty, because there is nothing to compare.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
MM3_PER_ML = 1000.0


@dataclass(frozen=True)
class Overlap:
    """Numbers of voxels of two masks, and the metrics that follow from them.

    >>> found = Overlap(predicted=4, reference=5, both=3)
    >>> found.sensitivity(), found.precision(), found.relative_volume_error()
    (0.6, 0.75, -0.2)
    """

    predicted: int
    """Number of voxels of the prediction."""
    reference: int
    """Number of voxels of the reference."""
    both: int
    """Number of voxels of both."""

    def dice(self) -> float:
        """Return the Dice coefficient: 0 if one mask is empty, NaN if both are."""
        return _ratio(2 * self.both, self.predicted + self.reference)

    def iou(self) -> float:
        """Return the intersection over union: 0 if one mask is empty, NaN if both are."""
        return _ratio(self.both, self.predicted + self.reference - self.both)

    def sensitivity(self) -> float:
        """Return the share of the reference that is predicted; NaN without a reference."""
        return _ratio(self.both, self.reference)

    def precision(self) -> float:
        """Return the share of the prediction that is correct; NaN without a prediction."""
        return _ratio(self.both, self.predicted)

    def voxel_difference(self) -> float:
        """Return the voxels of the prediction minus those of the reference; NaN if both are 0."""
        if not self.predicted and not self.reference:
            return math.nan
        return float(self.predicted - self.reference)

    def relative_volume_error(self) -> float:
        """Return the volume difference as a share of the reference.

        It is infinite if only the reference is empty, and NaN if both masks are.
        """
        if self.predicted and not self.reference:
            return math.inf
        return _ratio(self.predicted - self.reference, self.reference)


def overlap(predicted: Mask, reference: Mask) -> Overlap:
    """Return the numbers of voxels of two masks and of their intersection."""
    return Overlap(
        predicted=int(np.count_nonzero(predicted)),
        reference=int(np.count_nonzero(reference)),
        both=int(np.count_nonzero(predicted & reference)),
    )


def dice(predicted: Mask, reference: Mask) -> float:
    """Return the Dice coefficient 2 |P and R| / (|P| + |R|).

    It is 0 if one mask is empty, and NaN if both are.

    >>> dice(np.array([1, 1, 0], bool), np.array([0, 1, 0], bool))
    0.6666666666666666
    """
    return overlap(predicted, reference).dice()


def _ratio(numerator: int, denominator: int) -> float:
    return numerator / denominator if denominator else math.nan
