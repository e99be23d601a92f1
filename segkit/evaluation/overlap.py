"""Overlap and volume of two masks (X, Y, Z) on one grid.

All metrics are NaN if both masks are empty, because there is nothing to compare.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
MM3_PER_ML = 1000.0


def dice(predicted: Mask, reference: Mask) -> float:
    """Return the Dice coefficient 2 |P and R| / (|P| + |R|).

    It is 0 if one mask is empty, and NaN if both are.

    >>> dice(np.array([1, 1, 0], bool), np.array([0, 1, 0], bool))
    0.6666666666666666
    """
    size = np.count_nonzero(predicted) + np.count_nonzero(reference)
    return float(2 * np.count_nonzero(predicted & reference) / size) if size else math.nan


def iou(predicted: Mask, reference: Mask) -> float:
    """Return the intersection over union (Jaccard index) |P and R| / |P or R|.

    It is 0 if one mask is empty, and NaN if both are.

    >>> iou(np.array([1, 1, 0], bool), np.array([0, 1, 0], bool))
    0.5
    """
    union = np.count_nonzero(predicted | reference)
    return float(np.count_nonzero(predicted & reference) / union) if union else math.nan


def volume_difference_ml(predicted: Mask, reference: Mask, spacing: Sequence[float]) -> float:
    """Return the volume of the prediction minus that of the reference in ml; ``spacing`` in mm.

    >>> volume_difference_ml(np.ones((2, 1, 1), bool), np.zeros((2, 1, 1), bool), (10, 10, 5))
    1.0
    """
    return voxel_difference(predicted, reference) * math.prod(spacing) / MM3_PER_ML


def volume_difference_px(predicted: Mask, reference: Mask, spacing: Sequence[float]) -> float:
    """Return the area of the prediction minus that of the reference in px; ``spacing`` in px."""
    return voxel_difference(predicted, reference) * math.prod(spacing)


def voxel_difference(predicted: Mask, reference: Mask) -> float:
    """Return the number of voxels of the prediction minus that of the reference."""
    in_prediction, in_reference = np.count_nonzero(predicted), np.count_nonzero(reference)
    if not in_prediction and not in_reference:
        return math.nan
    return float(in_prediction - in_reference)
