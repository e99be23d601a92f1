"""Probabilities of labels from the scores of a network, as real numbers or in steps of 1/255.

The probabilities of labels that exclude each other sum to 1 at each voxel, background included
(softmax). Regions overlap, and each has a probability of its own (sigmoid). Where two labels are
equally probable except for rounding, the label of the label map gets the higher number, so that the
largest probability always belongs to the label of the label map.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from segkit.inference.scoring.to_scan_grid import Scores, highest

Kind = Literal["uint8", "float32"]
"""Number type of probabilities; uint8 holds steps of 1/255."""
STEPS = 255
"""Step of a probability of 1."""
_HALF = np.float32(0.5)


def probabilities(scores: Scores, *, regions: bool = False) -> NDArray[np.float32]:
    """Return the probabilities (K, X, Y, Z) of scores (K, X, Y, Z).

    >>> probabilities(np.log(np.array([1, 3], np.float32)).reshape(2, 1, 1, 1)).ravel().tolist()
    [0.25, 0.75]
    """
    if regions:
        values = expit(scores)
        above_half = np.nextafter(_HALF, np.float32(1))
        np.maximum(values, above_half, out=values, where=scores > 0)
        return np.asarray(values)
    values = _softmax(scores)
    best, voxels = _not_highest(values, scores)
    largest = np.moveaxis(values, 0, -1)[voxels].max(axis=-1)
    values[(best, *voxels)] = np.nextafter(largest, np.float32(1))
    return values


def steps(scores: Scores, *, regions: bool = False) -> NDArray[np.uint8]:
    """Return the probabilities (K, X, Y, Z) in steps of 1/255, rounded to the nearest step.

    The step of a region is above 127 where its score is above 0. The label of the highest score
    gets one step more than any other label that rounds to the same step.

    >>> steps(np.log(np.array([1, 3], np.float32)).reshape(2, 1, 1, 1)).ravel().tolist()
    [64, 191]
    """
    scaled = expit(scores) if regions else _softmax(scores)
    scaled *= STEPS
    values = np.rint(scaled, out=scaled).astype(np.uint8)
    if regions:
        np.maximum(values, STEPS // 2 + 1, out=values, where=scores > 0)
        np.minimum(values, STEPS // 2, out=values, where=scores <= 0)
        return values
    best, voxels = _not_highest(values, scores)
    values[(best, *voxels)] = np.moveaxis(values, 0, -1)[voxels].max(axis=-1) + 1
    return values


FUNCTIONS: dict[Kind, Callable[..., NDArray[Any]]] = {"uint8": steps, "float32": probabilities}
"""Function from scores to probabilities of each number type."""


def _softmax(scores: Scores) -> NDArray[np.float32]:
    values: NDArray[np.float32] = scores - scores.max(axis=0)
    np.exp(values, out=values)
    values /= values.sum(axis=0)
    return values


def _not_highest(
    values: NDArray[Any], scores: Scores
) -> tuple[NDArray[Any], tuple[NDArray[Any], ...]]:
    """Return the voxels whose label is not the first of the highest in ``values``, and that label.

    The label is the one with the highest score; voxels are given by their indices x, y and z.
    """
    best = highest(scores)
    voxels = np.nonzero(best != highest(values))
    return best[voxels], voxels
