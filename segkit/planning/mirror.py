"""Which axes may be mirrored: not those along which two labels keep their order in the patient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import UsageError
from segkit.planning.fingerprint import Fingerprint

AGREEMENT = 0.95
"""Share of the cases in which two labels must stand in the same order."""
SEPARATION = 0.25
"""Distance of their centroids, in standard deviations of the labels: less is the chance of a nearly symmetric pair."""
FEW_CASES = 6
"""Below this, all cases agree by chance in more than 5 % of pairs without any order: 2 * 0.5 ** cases."""
FEW_SEPARATION = 0.5
"""Needed then along the axis,"""
FEW_DISTANCE = 2.0
"""and in space: two organs are apart (measured on a CT: 3 and more), parts of one tumour are not (1.5 and less)."""

TINY = 1e-9
"""In place of the standard deviation of a label of one voxel."""

AXIS_NAMES = "xyz"
SIDES = {"mm": ("left of", "behind", "below"), "px": ("left of", "above", "in front of")}
"""Where the label with the smaller coordinate lies; X, Y, Z point right, forward and up, in pictures right and down."""


@dataclass(frozen=True)
class Order:
    """Label ``first`` has the smaller coordinate along ``axis`` in ``agreeing`` of the ``cases`` that have both."""

    axis: int
    first: str
    second: str
    agreeing: int
    cases: int
    separation: float
    """Median distance of the centroids over the median of the labels' mean standard deviation."""


def label_orders(fingerprint: Fingerprint) -> list[Order]:
    """All pairs of labels that keep their order along an axis, the farthest apart first."""
    names = sorted({name for case in fingerprint.cases for name in case.labels})
    centroids, deviations = (_positions(fingerprint, names, what) for what in ("centroid", "deviation"))
    orders = []
    for a, b in combinations(range(len(names)), 2):
        both = ~np.isnan(centroids[:, a, 0] + centroids[:, b, 0])
        if both.any():
            apart = centroids[both, b] - centroids[both, a]
            size = (deviations[both, a] + deviations[both, b]) / 2
            orders += _orders(names[a], names[b], apart, size)
    return sorted(orders, key=lambda order: -order.separation)


def mirror_axes(fingerprint: Fingerprint, axes: Sequence[int], choice: Any = "auto") -> tuple[tuple[int, ...], str]:
    """Axes to mirror out of ``axes``, and why.

    Args:
        fingerprint: the measured dataset.
        axes: the axes that the network sees.
        choice: auto, none, all, or a list of axes.

    Raises:
        UsageError: ``choice`` is none of these.
    """
    if choice == "all":
        return tuple(axes), "All, as asked (augment.mirror=all)."
    if choice == "auto":
        return _automatic(fingerprint, axes)
    if choice is None or choice == "none":
        return (), "None, as asked (augment.mirror=none)."
    if not isinstance(choice, list | tuple) or not all(isinstance(axis, int) and axis in axes for axis in choice):
        raise UsageError(f"augment.mirror={choice} is not known. Use auto, none, all, or a list out of {list(axes)}.")
    chosen = tuple(sorted({int(axis) for axis in choice}))
    return chosen, f"As asked (augment.mirror={list(chosen)})."


def _automatic(fingerprint: Fingerprint, axes: Sequence[int]) -> tuple[tuple[int, ...], str]:
    orders = label_orders(fingerprint)
    allowed, sentences = [], []
    for axis in axes:
        found = [order for order in orders if order.axis == axis]
        if not found:
            allowed.append(axis)
            sentences.append(f"{AXIS_NAMES[axis]} is mirrored: no two labels keep an order along it.")
            continue
        more = {1: "", 2: " (and one more pair)"}.get(len(found), f" (and {len(found) - 1} more pairs)")
        sentences.append(f"{AXIS_NAMES[axis]} is not: {_sentence(found[0], fingerprint.unit)}{more}.")
    return tuple(allowed), " ".join(sentences)


def _sentence(order: Order, unit: str) -> str:
    side = SIDES[unit][order.axis]
    return (
        f"{order.first} lies {side} {order.second} along {AXIS_NAMES[order.axis]}"
        f" in {order.agreeing} of {order.cases} cases"
    )


def _positions(fingerprint: Fingerprint, names: Sequence[str], what: str) -> NDArray[np.float64]:
    """(cases, labels, 3), NaN where a case lacks the label."""
    table = np.full((len(fingerprint.cases), len(names), 3), np.nan)
    for row, case in enumerate(fingerprint.cases):
        for column, name in enumerate(names):
            if name in case.labels:
                table[row, column] = getattr(case.labels[name], what)
    return table


def _distance(apart: NDArray[np.float64], size: NDArray[np.float64]) -> float:
    """Median over the cases of the distance in space, each axis in standard deviations."""
    return float(np.median(np.linalg.norm(apart / np.maximum(size, TINY), axis=1)))


def _orders(first: str, second: str, apart: NDArray[np.float64], size: NDArray[np.float64]) -> list[Order]:
    """``apart`` and ``size`` are (cases, 3): second minus first, and the labels' mean standard deviation."""
    found = []
    cases = len(apart)
    few = cases < FEW_CASES
    if few and _distance(apart, size) <= FEW_DISTANCE:
        return []
    needed = FEW_SEPARATION if few else SEPARATION
    for axis in range(3):
        after, before = int((apart[:, axis] > 0).sum()), int((apart[:, axis] < 0).sum())
        agreeing = max(after, before)
        distance, scale = float(np.median(np.abs(apart[:, axis]))), float(np.median(size[:, axis]))
        if agreeing >= AGREEMENT * cases and distance > needed * scale:
            names = (first, second) if after >= before else (second, first)
            found.append(Order(axis, *names, agreeing, cases, distance / max(scale, TINY)))
    return found
