"""Overlap and volume of two masks (X, Y, Z) on one grid. NaN where both are empty: there is nothing to compare.

Every metric has the signature (predicted, reference, spacing), so that one table holds them all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
MM3_PER_ML = 1000.0


def dice(predicted: Mask, reference: Mask, spacing: Sequence[float]) -> float:  # noqa: ARG001
    """2 |P and R| / (|P| + |R|); 0 where one is empty, NaN where both are.

    >>> dice(np.array([1, 1, 0], bool), np.array([0, 1, 0], bool), (1.0,))
    0.6666666666666666
    """
    size = np.count_nonzero(predicted) + np.count_nonzero(reference)
    return float(2 * np.count_nonzero(predicted & reference) / size) if size else math.nan


def iou(predicted: Mask, reference: Mask, spacing: Sequence[float]) -> float:  # noqa: ARG001
    """Intersection over union (Jaccard): |P and R| / |P or R|; 0 where one is empty, NaN where both are."""
    union = np.count_nonzero(predicted | reference)
    return float(np.count_nonzero(predicted & reference) / union) if union else math.nan


def volume_difference_ml(predicted: Mask, reference: Mask, spacing: Sequence[float]) -> float:
    """Volume of the prediction less that of the reference, in ml; ``spacing`` in mm. NaN where both are empty."""
    return voxel_difference(predicted, reference) * math.prod(spacing) / MM3_PER_ML


def volume_difference_px(predicted: Mask, reference: Mask, spacing: Sequence[float]) -> float:
    """Area of the prediction less that of the reference, in px; ``spacing`` in px. NaN where both are empty."""
    return voxel_difference(predicted, reference) * math.prod(spacing)


def voxel_difference(predicted: Mask, reference: Mask) -> float:
    """Voxels of the prediction less those of the reference; NaN where both are empty."""
    ours, theirs = np.count_nonzero(predicted), np.count_nonzero(reference)
    return float(ours - theirs) if ours or theirs else math.nan
