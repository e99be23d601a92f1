"""Check the sides of labels: left and right by name, and cases mirrored against the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from segkit.dataset_check.problem import (
    MeasuredDataset,
    Problem,
    case_or_dataset_warnings,
)
from segkit.fingerprint.case_facts import CaseFacts
from segkit.labels.left_right_names import lateral_pairs, left_first
from segkit.volume import Unit

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
DIRECTIONS = ("left and right", "front and back", "top and bottom")
"""Sides that are exchanged in a case that is mirrored along X, Y, Z."""


def side_names(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield warnings for labels named left that lie to the right of their partner.

    X points to the patient's right, so the left label has the smaller X. Pictures have no sides.
    """
    if measured.unit == "px":
        return
    yield from case_or_dataset_warnings(_wrong_sides(measured), measured)


def mirrored_cases(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each case whose labels are ordered against the usual order along an axis.

    Only pairs of labels count that are clearly apart and have one order in most cases. The case is
    mirrored if most of its pairs along the axis are reversed.
    """
    reported = _wrong_sides(measured) if measured.unit == "mm" else {}
    few = 2 * len(reported) <= len(measured.cases)
    for (case, axis), (first, second, count) in _reversed_orders(measured).items():
        if axis == 0 and few and case in reported:
            continue
        yield Problem(
            case, "warning", _mirrored_text(first, second, count, axis=axis, unit=measured.unit)
        )


def _wrong_sides(measured: MeasuredDataset) -> dict[str, str]:
    """Return case id -> message for cases in which most left labels lie to the right."""
    pairs = [left_first(*pair) for pair in lateral_pairs(list(measured.dataset.labels))[0]]
    messages = {}
    for case in measured.cases:
        distances = {
            pair: _distance(case, *pair, axis=0)
            for pair in pairs
            if pair[0] in case.labels and pair[1] in case.labels
        }
        clear = {pair: each for pair, each in distances.items() if abs(each) >= CLEAR}
        wrong = [pair for pair, distance in clear.items() if distance < 0]
        if wrong and 2 * len(wrong) > len(clear):
            left, right = wrong[0]
            apart = case.labels[left].centroid[0] - case.labels[right].centroid[0]
            messages[case.id] = (
                f"{left} lies {apart:.3g} mm to the patient's right of {right}, by the header of"
                " the scan: the names are exchanged, or the scan is mirrored"
            )
    return messages


def _distance(case: CaseFacts, first: str, second: str, *, axis: int) -> float:
    """Return how far ``second`` lies beyond ``first`` along an axis, in standard deviations.

    The unit is the mean standard deviation of the voxels of the two labels, at least one voxel.
    """
    one, other = case.labels[first], case.labels[second]
    size = max((one.deviation[axis] + other.deviation[axis]) / 2, case.spacing[axis])
    return (other.centroid[axis] - one.centroid[axis]) / size


def _reversed_orders(measured: MeasuredDataset) -> dict[tuple[str, int], tuple[str, str, int]]:
    """Return by case and axis a reversed pair of labels, and how many there are.

    Cases in which at most half of the clear pairs along the axis are reversed are left out.
    """
    if not measured.cases:
        return {}
    names = list(measured.dataset.labels)
    shape = (len(measured.cases), 3)
    clear, wrong = np.zeros(shape, int), np.zeros(shape, int)
    example = np.zeros((*shape, 2), int)
    for one, other, distances in _pair_distances(measured, names):
        is_clear = np.abs(distances) >= CLEAR
        is_wrong = is_clear & (distances < 0)
        example[is_wrong & (wrong == 0)] = one, other
        clear += is_clear
        wrong += is_wrong
    return {
        (measured.cases[case].id, axis): (
            names[example[case, axis, 0]],
            names[example[case, axis, 1]],
            int(wrong[case, axis]),
        )
        for case, axis in np.argwhere(2 * wrong > clear).tolist()
    }


def _pair_distances(
    measured: MeasuredDataset, names: Sequence[str]
) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """Yield pairs of labels with their distances (cases, 3) along X, Y, Z, positive as usual.

    The distance is that of `_distance`, and 0 where a case lacks a label or the pair has no usual
    order along the axis.
    """
    centroids, deviations = (np.full((len(measured.cases), len(names), 3), np.nan) for _ in "cd")
    for row, case in enumerate(measured.cases):
        for column, name in enumerate(names):
            if name in case.labels:
                centroids[row, column] = case.labels[name].centroid
                deviations[row, column] = case.labels[name].deviation
    spacing = np.array([case.spacing for case in measured.cases])
    for one, other in combinations(range(len(names)), 2):
        size = np.maximum((deviations[:, one] + deviations[:, other]) / 2, spacing)
        distances = (centroids[:, other] - centroids[:, one]) / size
        both = ~np.isnan(distances[:, 0])
        if both.sum() < MIN_CASES:
            continue
        middle = np.median(distances[both], axis=0)
        same = (distances[both] * middle > 0).mean(axis=0)
        spread = _spread(distances[both], middle)
        usual = (np.abs(middle) >= np.maximum(CLEAR, SPREADS * spread)) & (same >= SAME_ORDER)
        yield one, other, np.nan_to_num(distances) * np.sign(middle) * usual


def _spread(distances: NDArray[np.float64], middle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the robust standard deviation over the cases (first axis) around their median."""
    spread: NDArray[np.float64] = NORMAL * np.median(np.abs(distances - middle), axis=0)
    return spread


def _mirrored_text(first: str, second: str, count: int, *, axis: int, unit: Unit) -> str:
    more = f" (and {count - 1} more pair{'s' if count > 2 else ''})" if count > 1 else ""
    along = f"along {'xyz'[axis]}" if unit == "px" else f"({DIRECTIONS[axis]})"
    return (
        f"{first} and {second}{more} lie the other way round {along} than in the other cases: the"
        " scan is mirrored, or the labels are exchanged"
    )
