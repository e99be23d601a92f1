"""Probabilities of labels from the scores of a network, as real numbers or in steps of 1/255.

Of labels that exclude each other they sum to 1 at each voxel, background included (softmax). Regions overlap, and each
has a probability of its own (sigmoid). Where two labels are equally probable but for rounding, the one that the label
map has gets the higher number, so that the largest probability always belongs to the label of the label map.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from segkit.inference.scoring.to_scan_grid import Scores, highest

Kind = Literal["uint8", "float32"]
STEPS = 255
"""A probability of 1 as a whole number of 8 bits."""
_HALF = np.float32(0.5)


def probabilities(scores: Scores, *, regions: bool = False) -> NDArray[np.float32]:
    """Return the probabilities (K, X, Y, Z) of scores (K, X, Y, Z).

    >>> probabilities(np.log(np.array([1, 3], np.float32)).reshape(2, 1, 1, 1)).ravel().tolist()
    [0.25, 0.75]
    """
    if regions:
        found = expit(scores)
        np.maximum(found, np.nextafter(_HALF, np.float32(1)), out=found, where=scores > 0)
        return np.asarray(found)
    found = _softmax(scores)
    best, tied = _not_highest(found, scores)
    found[(best, *tied)] = np.nextafter(np.moveaxis(found, 0, -1)[tied].max(axis=-1), np.float32(1))
    return found


def steps(scores: Scores, *, regions: bool = False) -> NDArray[np.uint8]:
    """Return the probabilities in steps of 1/255, rounded to the nearest step.

    A region's step is above 127 where its score is above 0, and a label that is highest gets one step more than another
    one of the same step.

    >>> steps(np.log(np.array([1, 3], np.float32)).reshape(2, 1, 1, 1)).ravel().tolist()
    [64, 191]
    """
    shares = expit(scores) if regions else _softmax(scores)
    shares *= STEPS
    found = np.rint(shares, out=shares).astype(np.uint8)
    if regions:
        np.maximum(found, STEPS // 2 + 1, out=found, where=scores > 0)
        np.minimum(found, STEPS // 2, out=found, where=scores <= 0)
        return found
    best, tied = _not_highest(found, scores)
    found[(best, *tied)] = np.moveaxis(found, 0, -1)[tied].max(axis=-1) + 1
    return found


MAKERS: dict[Kind, Callable[..., NDArray[Any]]] = {"uint8": steps, "float32": probabilities}


def _softmax(scores: Scores) -> NDArray[np.float32]:
    shares: NDArray[np.float32] = scores - scores.max(axis=0)
    np.exp(shares, out=shares)
    shares /= shares.sum(axis=0)
    return shares


def _not_highest(
    found: NDArray[Any], scores: Scores
) -> tuple[NDArray[Any], tuple[NDArray[Any], ...]]:
    """Return the label with the highest score of those voxels where it is not the first of the highest in ``found``."""
    best = highest(scores)
    tied = np.nonzero(best != highest(found))
    return best[tied], tied
