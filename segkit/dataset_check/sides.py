"""Check the sides of labels: left and right by name, and cases mirrored against the others."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from segkit.dataset_check.problem import (
    MeasuredDataset,
    Problem,
    case_or_dataset_warnings,
)
from segkit.fingerprint.case_facts import CaseFacts
from segkit.labels.left_right_names import lateral_pairs, left_first

CLEAR = 0.5
"""Least distance of two centroids along an axis for an order, in mean standard deviations."""
SAME_ORDER = 0.8
"""Share of the cases in which two labels must have the same order for it to be the usual one."""
MIN_CASES = 5
"""Smallest number of cases with both labels for their order to be usual."""
DIRECTIONS = ("left and right", "front and back", "top and bottom")
"""Sides that are exchanged in a case that is mirrored along X, Y, Z."""

Orders = dict[tuple[str, str, int], dict[str, float]]
"""Two labels and an axis -> case id -> signed distance of their centroids, see `_distance`."""


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
    orders = _usual_orders(measured)
    for case in measured.cases:
        for axis, direction in enumerate(DIRECTIONS):
            pairs = [
                (key, found[case.id])
                for key, found in orders.items()
                if key[2] == axis and abs(found.get(case.id, 0.0)) >= CLEAR
            ]
            reversed_pairs = [key for key, distance in pairs if distance < 0]
            if 2 * len(reversed_pairs) <= len(pairs):
                continue
            if axis == 0 and few and case.id in reported:
                continue
            yield Problem(
                case.id, "warning", _mirrored_text(direction, reversed_pairs, axis, measured)
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


def _usual_orders(measured: MeasuredDataset) -> Orders:
    """Return the distances of all pairs of labels with a usual order, which is positive."""
    orders: Orders = {}
    for first, second in combinations(measured.dataset.labels, 2):
        both = [case for case in measured.cases if first in case.labels and second in case.labels]
        for axis in range(3):
            distances = {case.id: _distance(case, first, second, axis=axis) for case in both}
            values = np.array(list(distances.values()))
            middle = float(np.median(values)) if len(values) >= MIN_CASES else 0.0
            if abs(middle) < CLEAR or np.mean(values * middle > 0) < SAME_ORDER:
                continue
            sign = 1 if middle > 0 else -1
            orders[first, second, axis] = {
                case: sign * distance for case, distance in distances.items()
            }
    return orders


def _mirrored_text(
    direction: str, pairs: list[tuple[str, str, int]], axis: int, measured: MeasuredDataset
) -> str:
    first, second, _ = pairs[0]
    more = f" (and {len(pairs) - 1} more pairs)" if len(pairs) > 1 else ""
    along = f"along {'xyz'[axis]}" if measured.unit == "px" else f"({direction})"
    return (
        f"{first} and {second}{more} lie the other way round {along} than in the other cases: the"
        " scan is mirrored, or the labels are exchanged"
    )
