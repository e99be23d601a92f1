"""Detection of lesions: which connected components of the reference were found, and which of the
prediction are false.

A lesion is a connected component of a mask, whose voxels touch at least at a corner (26 neighbors,
8 in a picture). Two rules say when a lesion counts as found:

overlap    A lesion is found if it shares a voxel with the prediction, and a predicted one is false
           if it shares none with the reference. A predicted component may find several lesions.
IoU        Lesions are paired, each with one predicted component at most, in descending order of the
           IoU of the two components and down to the smallest IoU that counts. Those without a
           partner are missed or false.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

from segkit.evaluation.overlap import Mask


@dataclass(frozen=True)
class Lesions:
    """Numbers of lesions in one case or several.

    >>> Lesions(found=3, missed=1, false=2).f1()
    0.6666666666666666
    """

    found: int
    """Lesions of the reference that were found."""
    missed: int
    """Lesions of the reference that were not found."""
    false: int
    """Components of the prediction that belong to no lesion."""

    def f1(self) -> float:
        """Return 2 found / (2 found + missed + false); NaN if there is no lesion in either mask."""
        whole = 2 * self.found + self.missed + self.false
        return 2 * self.found / whole if whole else math.nan


def count_lesions(predicted: Mask, reference: Mask, min_iou: float = 0.0) -> Lesions:
    """Return how many lesions were found, were missed, and are false.

    Args:
        predicted: mask (X, Y, Z).
        reference: mask (X, Y, Z).
        min_iou: smallest IoU of two components that belong together; 0 is the rule of overlap.

    Two of three lesions are touched by the one component that is predicted:

    >>> reference = np.array([1, 0, 1, 0, 1], bool).reshape(5, 1, 1)
    >>> predicted = np.array([0, 1, 1, 1, 1], bool).reshape(5, 1, 1)
    >>> count_lesions(predicted, reference), count_lesions(predicted, reference, 0.5)
    (Lesions(found=2, missed=1, false=0), Lesions(found=0, missed=3, false=1))
    """
    predicted_numbers, in_prediction = _components(predicted)
    reference_numbers, in_reference = _components(reference)
    both = predicted & reference
    # One number for each pair of components, because numpy sorts columns slowly.
    keys = predicted_numbers[both].astype(np.int64) * (in_reference + 1) + reference_numbers[both]
    keys, shared = np.unique(keys, return_counts=True)
    pairs = np.stack(np.divmod(keys, in_reference + 1))
    if min_iou > 0:
        sizes = _sizes(predicted_numbers[predicted])[pairs[0]]
        sizes += _sizes(reference_numbers[reference])[pairs[1]]
        pairs = _matches(pairs, shared / (sizes - shared), min_iou)
    correct, found = (len(set(numbers)) for numbers in pairs.tolist())
    return Lesions(found, in_reference - found, in_prediction - correct)


def lesion_totals(counts: Iterable[Lesions]) -> Lesions:
    """Return the sums of several cases.

    >>> lesion_totals([Lesions(1, 0, 2), Lesions(0, 3, 0)])
    Lesions(found=1, missed=3, false=2)
    """
    numbers = [(one.found, one.missed, one.false) for one in counts] or [(0, 0, 0)]
    return Lesions(*(sum(column) for column in zip(*numbers, strict=True)))


def _components(mask: Mask) -> tuple[NDArray[Any], int]:
    """Return the number of the component of each voxel, from 1 on, and how many there are."""
    numbers, count = cc3d.connected_components(mask.view(np.uint8), connectivity=26, return_N=True)
    return numbers, int(count)


def _sizes(numbers: NDArray[Any]) -> NDArray[np.int64]:
    return np.bincount(numbers)


def _matches(
    pairs: NDArray[np.int64], ious: NDArray[np.float64], min_iou: float
) -> NDArray[np.int64]:
    """Return those pairs (2, N) of components that are matched, the most similar ones first."""
    matched: list[tuple[int, int]] = []
    used: tuple[set[int], set[int]] = (set(), set())
    for place in np.argsort(-ious, kind="stable"):
        predicted, reference = map(int, pairs[:, place])
        if ious[place] < min_iou or predicted in used[0] or reference in used[1]:
            continue
        matched.append((predicted, reference))
        used[0].add(predicted)
        used[1].add(reference)
    return np.array(matched, np.int64).reshape(-1, 2).T
