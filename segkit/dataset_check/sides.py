"""Check the sides of labels: left and right by name, mirrored cases, and exchanged labels."""

from __future__ import annotations

from collections.abc import Iterator

from segkit.dataset_check.label_orders import CLEAR, OddOrder, odd_orders
from segkit.dataset_check.problem import (
    MeasuredDataset,
    Problem,
    case_or_dataset_warnings,
)
from segkit.fingerprint.case_facts import CaseFacts
from segkit.labels.left_right_names import lateral_pairs, left_first
from segkit.volume import Unit

DIRECTIONS = ("left and right", "front and back", "top and bottom")
"""Sides that are exchanged in a case that is mirrored along X, Y, Z."""


def side_names(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield warnings for labels named left that lie to the right of their partner.

    X points to the patient's right, so the left label has the smaller X. Pictures have no sides.
    A case of which the order of all labels shows what is wrong is left to the other two checks.
    """
    wrong = _wrong_sides(measured) if measured.unit == "mm" else {}
    if _are_few(wrong, measured):
        explained = {case for case, odd in odd_orders(measured).items() if odd.certain}
        wrong = {case: message for case, message in wrong.items() if case not in explained}
    yield from case_or_dataset_warnings(wrong, measured)


def exchanged_labels(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each case in which two labels lie where the other one usually does."""
    for case, odd in odd_orders(measured).items():
        if odd.exchanged:
            first, second = odd.pairs[0]
            yield Problem(
                case,
                "warning",
                f"{first} lies where {second} lies in the other cases, and {second} where {first}"
                " does: the values of the two labels are exchanged in the label map",
            )


def mirrored_cases(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each case whose labels are ordered against the usual order along an axis.

    See `odd_orders`. Where exchanged labels explain the order as well, the warning says so, unless
    `side_names` has it already.
    """
    reported = _wrong_sides(measured) if measured.unit == "mm" else {}
    few = _are_few(reported, measured)
    for case, odd in odd_orders(measured).items():
        if odd.exchanged or (not odd.certain and few and case in reported):
            continue
        text = _mirrored_text(odd, unit=measured.unit)
        yield Problem(case, "warning", text, file="image" if odd.certain else "label")


def _are_few(wrong: dict[str, str], measured: MeasuredDataset) -> bool:
    """Return whether at most half of the cases have wrong sides, so that each is a fault alone."""
    return 2 * len(wrong) <= len(measured.cases)


def _wrong_sides(measured: MeasuredDataset) -> dict[str, str]:
    """Return case id -> message for cases in which most left labels lie to the right."""
    pairs = [left_first(*pair) for pair in lateral_pairs(list(measured.dataset.labels))[0]]
    messages = {}
    for case in measured.cases:
        distances = {
            pair: _distance(case, *pair)
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


def _distance(case: CaseFacts, first: str, second: str) -> float:
    """Return how far ``second`` lies beyond ``first`` along X, in standard deviations.

    The unit is the mean standard deviation of the voxels of the two labels, at least one voxel.
    """
    one, other = case.labels[first], case.labels[second]
    size = max((one.deviation[0] + other.deviation[0]) / 2, case.spacing[0])
    return (other.centroid[0] - one.centroid[0]) / size


def _mirrored_text(odd: OddOrder, *, unit: Unit) -> str:
    (first, second), count = odd.pairs[0], len(odd.pairs)
    more = f" (and {count - 1} more pair{'s' if count > 2 else ''})" if count > 1 else ""
    sides = [f"along {'xyz'[axis]}" if unit == "px" else DIRECTIONS[axis] for axis in odd.axes]
    along = " and ".join(sides) if unit == "px" else f"({'; '.join(sides)})"
    cause = (
        "the scan is mirrored together with its label map"
        if odd.certain
        else "the labels are exchanged, or the scan is mirrored together with its label map"
    )
    return (
        f"{first} and {second}{more} lie the other way round {along} than in the other cases:"
        f" {cause}"
    )
