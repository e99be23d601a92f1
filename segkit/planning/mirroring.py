"""Choose the axes to mirror: those along which no two labels have the same order in all patients.

Labels for the left and right side of a structure exchange names when the X axis is mirrored; that
axis is mirrored only if the labels are then arranged as in a patient.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import UsageError
from segkit.fingerprint.fingerprint import Fingerprint
from segkit.labels.left_right_names import lateral_pairs
from segkit.plans.plan import LEFT_RIGHT

SAME_ORDER = 0.95
"""Share of the cases in which two labels must have the same order along an axis."""
SEPARATION = 0.25
"""Least distance of two centroids along the axis, in standard deviations of the labels.

A smaller distance may be due to chance in a nearly symmetric pair.
"""
FEW_CASES = 6
"""Number of cases below which more than 5 % of random pairs agree by chance: 2 * 0.5 ** cases."""
FEW_SEPARATION = 0.5
"""Least distance along the axis, in place of SEPARATION, if there are few cases."""
FEW_DISTANCE = 2.0
"""Least distance in space, in standard deviations of the labels, if there are few cases.

Two organs are farther apart (3 and more, measured on a CT), parts of one tumor are not (1.5 and
less).
"""

TINY = 1e-9
"""Lower limit of a standard deviation, because that of a label with one voxel is 0."""

LIKENESS = 0.5
"""Least distance of the partners of two labels after mirroring, relative to the labels' own."""

AXIS_NAMES = "xyz"
SIDES = {"mm": ("left of", "behind", "below"), "px": ("left of", "above", "in front of")}
"""Position of the label with the smaller coordinate, along each axis.

X, Y, Z point right, forward and up; in pictures X points right and Y down.
"""


@dataclass(frozen=True)
class Order:
    """Order of two labels along an axis.

    ``first`` has the smaller coordinate in ``agreeing`` of the ``cases`` that have both labels.
    """

    axis: int
    first: str
    second: str
    agreeing: int
    cases: int
    separation: float
    """Median distance of the centroids, divided by the labels' median standard deviation."""


def label_orders(fingerprint: Fingerprint) -> list[Order]:
    """Return all pairs of labels with a consistent order along an axis, the most distant first."""
    orders = [order for pair in _pairs(fingerprint) for order in _orders(*pair)]
    return sorted(orders, key=lambda order: -order.separation)


@dataclass(frozen=True)
class Mirroring:
    """Axes to mirror, pairs of labels that exchange names when X is mirrored, and the reason."""

    axes: tuple[int, ...]
    swaps: tuple[tuple[str, str], ...]
    reason: str


def choose_mirroring(
    fingerprint: Fingerprint, labels: Sequence[str], axes: Sequence[int], choice: Any = "auto"
) -> Mirroring:
    """Choose which of ``axes`` to mirror.

    Args:
        fingerprint: measurements of the dataset.
        labels: names of its labels.
        axes: axes that the network sees (0, 1, 2 for X, Y, Z).
        choice: "auto", "none", "all", or a list of axes.

    Raises:
        UsageError: ``choice`` is none of these.
    """
    if choice == "all":
        return Mirroring(
            tuple(axes),
            (),
            "All, as asked (augment.mirror=all); labels keep their names, as in nnU-Net.",
        )
    if choice == "auto":
        return _automatic(fingerprint, labels, axes)
    if choice is None or choice == "none":
        return Mirroring((), (), "None, as asked (augment.mirror=none).")
    if not isinstance(choice, list | tuple) or not all(
        isinstance(axis, int) and axis in axes for axis in choice
    ):
        raise UsageError(
            f"augment.mirror={choice} is not known. Use auto, none, all, or a list out of"
            f" {list(axes)}."
        )
    chosen = tuple(sorted({int(axis) for axis in choice}))
    pairs, alone = lateral_pairs(labels) if LEFT_RIGHT in chosen else ((), ())
    sentences = [f"As asked (augment.mirror={list(chosen)})."]
    if pairs:
        sentences.append(f"With x, {_change(pairs)}.")
    if alone:
        sentences.append(f"{', '.join(alone)}: no label names the other side, so the name stays.")
    return Mirroring(chosen, pairs, " ".join(sentences))


def _automatic(fingerprint: Fingerprint, labels: Sequence[str], axes: Sequence[int]) -> Mirroring:
    pairs, alone = lateral_pairs(labels)
    allowed, sentences = [], []
    for axis in axes:
        swaps = pairs if axis == LEFT_RIGHT else ()
        against = orders_against(fingerprint, axis, swaps)
        if axis == LEFT_RIGHT and alone:
            sentences.append(
                f"x is not mirrored: {alone[0]} has a side by its name, and no label is the other"
                " side."
            )
        elif against:
            sentences.append(
                f"{AXIS_NAMES[axis]} is not mirrored:"
                f" {_contradiction(against, swaps, fingerprint.unit)}."
            )
        else:
            allowed.append(axis)
            sentences.append(f"{AXIS_NAMES[axis]} is mirrored: {_consent(swaps)}.")
    return Mirroring(tuple(allowed), pairs if LEFT_RIGHT in allowed else (), " ".join(sentences))


def orders_against(
    fingerprint: Fingerprint, axis: int, swaps: Sequence[tuple[str, str]]
) -> list[Order]:
    """Return the orders of two labels that a mirrored patient would not have, the clearest first.

    Args:
        fingerprint: measurements of the dataset.
        axis: the axis that is mirrored.
        swaps: pairs of labels that exchange names.
    """
    distances = _distances(fingerprint) if swaps else {}
    return [
        order
        for order in label_orders(fingerprint)
        if not _holds(order, distances, axis=axis, swaps=swaps)
    ]


def _holds(
    order: Order,
    distances: dict[tuple[int, str, str], float],
    *,
    axis: int,
    swaps: Sequence[tuple[str, str]],
) -> bool:
    """Return whether an order still holds after ``axis`` is mirrored and names are exchanged."""
    if not swaps:
        return order.axis != axis
    partner = {one: other for pair in swaps for one, other in (pair, pair[::-1])}
    first, second = partner.get(order.first, order.first), partner.get(order.second, order.second)
    if order.axis == axis:
        first, second = second, first
    return distances.get((order.axis, first, second), math.inf) >= LIKENESS * order.separation


def _consent(swaps: Sequence[tuple[str, str]]) -> str:
    return f"{_change(swaps)} with it" if swaps else "no two labels keep an order along it"


def _change(pairs: Sequence[tuple[str, str]]) -> str:
    return f"{pairs[0][0]} and {pairs[0][1]} exchange names{_more(len(pairs))}"


def _more(count: int) -> str:
    return {1: "", 2: " (and one more pair)"}.get(count, f" (and {count - 1} more pairs)")


def _contradiction(against: Sequence[Order], swaps: Sequence[tuple[str, str]], unit: str) -> str:
    """Describe the clearest of the orders that a mirrored patient would not have."""
    order = against[0]
    paired = {name for pair in swaps for name in pair}
    sides = ", and the sides are not mirror images" if {order.first, order.second} & paired else ""
    return f"{order_in_words(order, unit)}{_more(len(against))}{sides}"


def order_in_words(order: Order, unit: str) -> str:
    """Return the order in words, such as "a lies left of b along x in 9 of 9 cases"."""
    side = SIDES[unit][order.axis]
    return (
        f"{order.first} lies {side} {order.second} along {AXIS_NAMES[order.axis]}"
        f" in {order.agreeing} of {order.cases} cases"
    )


def _distances(fingerprint: Fingerprint) -> dict[tuple[int, str, str], float]:
    """Return the signed distance from the first to the second centroid, by axis and label pair.

    The unit is that of `Order.separation`.
    """
    distances = {}
    for first, second, apart, size in _pairs(fingerprint):
        medians = np.median(apart, axis=0) / np.maximum(np.median(size, axis=0), TINY)
        for axis, distance in enumerate(medians.tolist()):
            distances[axis, first, second] = distance
            distances[axis, second, first] = -distance
    return distances


def _pairs(
    fingerprint: Fingerprint,
) -> Iterator[tuple[str, str, NDArray[np.float64], NDArray[np.float64]]]:
    """Yield pairs of labels with the arrays (cases that have both, 3) of their offsets and sizes.

    The offset is the second centroid minus the first, the size the mean of the standard deviations.
    """
    names = sorted({name for case in fingerprint.cases for name in case.labels})
    centroids, deviations = (
        _positions(fingerprint, names, what) for what in ("centroid", "deviation")
    )
    for a, b in combinations(range(len(names)), 2):
        both = ~np.isnan(centroids[:, a, 0] + centroids[:, b, 0])
        if both.any():
            apart = centroids[both, b] - centroids[both, a]
            yield names[a], names[b], apart, (deviations[both, a] + deviations[both, b]) / 2


def _positions(fingerprint: Fingerprint, names: Sequence[str], what: str) -> NDArray[np.float64]:
    """Return a measurement of labels as (cases, labels, 3), NaN if a case lacks the label."""
    table = np.full((len(fingerprint.cases), len(names), 3), np.nan)
    for row, case in enumerate(fingerprint.cases):
        for column, name in enumerate(names):
            if name in case.labels:
                table[row, column] = getattr(case.labels[name], what)
    return table


def _distance(apart: NDArray[np.float64], size: NDArray[np.float64]) -> float:
    """Return the median over the cases of the distance in space, in standard deviations."""
    return float(np.median(np.linalg.norm(apart / np.maximum(size, TINY), axis=1)))


def _orders(
    first: str, second: str, apart: NDArray[np.float64], size: NDArray[np.float64]
) -> list[Order]:
    """Return the order of two labels along each axis that has one; arrays as in `_pairs`."""
    orders = []
    cases = len(apart)
    few = cases < FEW_CASES
    if few and _distance(apart, size) <= FEW_DISTANCE:
        return []
    needed = FEW_SEPARATION if few else SEPARATION
    for axis in range(3):
        after, before = int((apart[:, axis] > 0).sum()), int((apart[:, axis] < 0).sum())
        agreeing = max(after, before)
        distance, scale = float(np.median(np.abs(apart[:, axis]))), float(np.median(size[:, axis]))
        if agreeing >= SAME_ORDER * cases and distance > needed * scale:
            names = (first, second) if after >= before else (second, first)
            orders.append(Order(axis, *names, agreeing, cases, distance / max(scale, TINY)))
    return orders
