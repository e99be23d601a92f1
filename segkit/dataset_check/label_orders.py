"""Order of labels along each axis: the usual one, and what puts that of an unusual case right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from segkit.dataset_check.problem import MeasuredDataset
from segkit.labels.left_right_names import lateral_pairs

CLEAR = 0.5
"""Least distance of two centroids along an axis for an order, in mean standard deviations."""
SAME_ORDER = 0.8
"""Share of the cases in which two labels must have the same order for it to be the usual one."""
NORMAL = 1.4826
"""Standard deviation of a normal distribution in units of its median absolute deviation."""
SPREADS = 3.0
"""Least ratio of the median distance of two labels to its spread over the cases for an order.

Lesions, which lie anywhere, often have one order in 4 of 5 cases by chance.
"""
MIN_CASES = 5
"""Smallest number of cases with both labels for their order to be usual."""
RESTORED = 2
"""Smallest number of orders that an exchange of two labels must put right to be suspected.

One alone may be a patient with unusual anatomy.
"""
REMAINING = 0.25
"""Largest share of the reversed orders that an exchange may leave."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class OddOrder:
    """Labels of one case that are ordered against the usual order."""

    axes: tuple[int, ...]
    """Axes along which most pairs are reversed."""
    pairs: Sequence[tuple[str, str]]
    """Labels that are reversed along the first of these axes, or the two that are exchanged."""
    exchanged: bool
    """True if exchanging the two labels puts the orders right, and mirroring the case does not."""
    certain: bool
    """True if only one of the two, an exchange or a mirrored case, explains the orders."""


def odd_orders(measured: MeasuredDataset) -> dict[str, OddOrder]:
    """Return case id -> labels ordered against the usual order, for the cases that have any.

    Only pairs of labels count that are clearly apart and have one order in most cases. A case is
    odd if most of its pairs along an axis are reversed, or if exchanging two labels puts several
    reversed pairs right.
    """
    if not measured.cases:
        return {}
    names = list(measured.dataset.labels)
    centroids, deviations, spacing = _positions(measured, names)
    usual = np.zeros((len(names), len(names), 3))
    for one, other, order in _usual_orders(centroids, deviations, spacing):
        usual[one, other] = order
    sides = [(names.index(one), names.index(other)) for one, other in lateral_pairs(names)[0]]
    odd = {}
    for row, case in enumerate(measured.cases):
        labels = _Labels(centroids[row], deviations[row], spacing[row], usual)
        found = _explained(labels, names, sides)
        if found:
            odd[case.id] = found
    return odd


@dataclass(frozen=True, eq=False)
class _Labels:
    """Positions (labels, 3) of the labels of one case; NaN for a label that it lacks."""

    centroids: NDArray[np.float64]
    deviations: NDArray[np.float64]
    spacing: NDArray[np.float64]
    usual: NDArray[np.float64]
    """Sign (labels, labels, 3) of the usual distance of two labels; 0 without a usual order."""

    def clear_and_wrong(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which orders (labels, labels, 3) are clear, and which of these are reversed."""
        size = np.maximum(
            (self.deviations[:, None] + self.deviations[None]) / 2, self.spacing[None, None]
        )
        distances = np.nan_to_num((self.centroids[None] - self.centroids[:, None]) / size)
        clear = (np.abs(distances) >= CLEAR) & (self.usual != 0)
        return clear, clear & (distances * self.usual < 0)

    def exchanged(self, pair: Pair) -> _Labels:
        """Return the case with two labels exchanged."""
        order = np.arange(len(self.centroids))
        order[list(pair)] = order[list(pair)[::-1]]
        return _Labels(self.centroids[order], self.deviations[order], self.spacing, self.usual)


def _explained(labels: _Labels, names: Sequence[str], sides: Sequence[Pair]) -> OddOrder | None:
    """Return what is odd about the orders of one case; None if nothing is.

    Labels that may be exchanged are those that are reversed, and those named left and right
    (``sides``).
    """
    clear, wrong = labels.clear_and_wrong()
    total = int(wrong.sum())
    if not total:
        return None
    per_axis, clear_per_axis = wrong.sum(axis=(0, 1)), clear.sum(axis=(0, 1))
    axes = tuple(int(axis) for axis in np.flatnonzero(2 * per_axis > clear_per_axis))
    mirrored = [total - 2 * per_axis[axis] + clear_per_axis[axis] for axis in range(3)]
    pairs = [(int(one), int(other)) for one, other in np.argwhere(wrong.any(axis=2))]
    # An exchange leaves the orders of all other labels: with many labels, most need no trial.
    own = wrong.sum(axis=(0, 2)) + wrong.sum(axis=(1, 2))
    tried = [
        (one, other)
        for one, other in [*pairs, *sides]
        if total - own[one] - own[other] <= min(mirrored)
    ]
    left = {pair: int(labels.exchanged(pair).clear_and_wrong()[1].sum()) for pair in tried}
    best = min(left, key=lambda pair: left[pair], default=(0, 0))
    least = left.get(best, total + 1)
    exchanged = least < min(mirrored) and least <= REMAINING * total
    if exchanged and (axes or total - least >= RESTORED):
        return OddOrder(axes, [(names[best[0]], names[best[1]])], exchanged=True, certain=True)
    if not axes:
        return None
    reversed_pairs = np.argwhere(wrong[:, :, axes[0]])
    named = [(names[int(one)], names[int(other)]) for one, other in reversed_pairs]
    return OddOrder(axes, named, exchanged=False, certain=bool(min(mirrored) < least))


def _positions(measured: MeasuredDataset, names: Sequence[str]) -> tuple[NDArray[np.float64], ...]:
    """Return centroids and deviations (cases, labels, 3) and the spacing (cases, 3)."""
    centroids, deviations = (np.full((len(measured.cases), len(names), 3), np.nan) for _ in "cd")
    for row, case in enumerate(measured.cases):
        for column, name in enumerate(names):
            if name in case.labels:
                centroids[row, column] = case.labels[name].centroid
                deviations[row, column] = case.labels[name].deviation
    return centroids, deviations, np.array([case.spacing for case in measured.cases])


def robust_spread(values: NDArray[np.float64]) -> float:
    """Return the robust standard deviation: 1.4826 times the median absolute deviation.

    >>> robust_spread(np.array([1.0, 2.0, 3.0, 4.0, 100.0]))
    1.4826
    """
    if not values.size:
        return 0.0
    return NORMAL * float(np.median(np.abs(values - np.median(values))))


def _usual_orders(
    centroids: NDArray[np.float64], deviations: NDArray[np.float64], spacing: NDArray[np.float64]
) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """Yield pairs of labels with the signs (3,) of their usual distances; 0 if there is none.

    Distances are those of the centroids in units of the mean standard deviation of the voxels of
    the two labels, which is at least one voxel.
    """
    for one, other in combinations(range(centroids.shape[1]), 2):
        size = np.maximum((deviations[:, one] + deviations[:, other]) / 2, spacing)
        distances = (centroids[:, other] - centroids[:, one]) / size
        distances = distances[~np.isnan(distances[:, 0])]
        if len(distances) < MIN_CASES:
            continue
        middle = np.median(distances, axis=0)
        same = (distances * middle > 0).mean(axis=0)
        spread = NORMAL * np.median(np.abs(distances - middle), axis=0)
        usual = (np.abs(middle) >= np.maximum(CLEAR, SPREADS * spread)) & (same >= SAME_ORDER)
        yield one, other, np.sign(middle) * usual
