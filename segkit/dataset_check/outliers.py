"""Cases whose spacing, size, intensity or label volume is far from that of the other cases.

A measurement is compared on a logarithmic scale. Its distance from the median is counted in robust
standard deviations, 1.4826 times the median absolute deviation, which few outliers do not change
(Iglewicz and Hoaglin 1993). So that cases which are nearly equal do not make a small difference an
outlier, the standard deviation is at least so large that an outlier differs by the factor of its
quantity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from segkit.dataset_check.geometry import unusual_spacing
from segkit.dataset_check.groups import OUTSIDE, groups_of_scans, is_calibrated, number_text
from segkit.dataset_check.incomplete_labels import ALIKE, cut_labels, empty_slices, usually_present
from segkit.dataset_check.label_orders import robust_spread
from segkit.dataset_check.problem import Compare, MeasuredDataset, Problem
from segkit.fingerprint.label_facts import Point
from segkit.harmonization.mixture import features

MIN_CASES = 5
"""Smallest number of cases with a measurement for one of them to be an outlier."""
DEVIATIONS = 5.0
"""Number of robust standard deviations from the median from which a measurement is an outlier."""
USUALLY = 0.85
"""Share of the cases that have a label, from which its absence is unusual."""


@dataclass(frozen=True)
class Quantity:
    """One measurement of all cases that have it."""

    family: str
    """Kind of measurement: "spacing", "size", "intensity" or "volume"."""
    name: str
    """Name in messages, such as "volume of liver"."""
    unit: str
    factor: float
    """Least ratio to the median of an outlier."""
    values: Mapping[str, float]
    """Case id -> value."""
    logarithms: Mapping[str, float]
    """Case id -> logarithm of the value, by which cases are compared."""
    groups: Mapping[str, str]
    """Case id -> group within which it is compared; empty to compare all."""

    def deviations(self) -> dict[str, float]:
        """Return the signed distance of each case from the median, in robust deviations."""
        found = {}
        for group in dict.fromkeys(self.groups.get(case, "") for case in self.logarithms):
            members = {
                case: value
                for case, value in self.logarithms.items()
                if self.groups.get(case, "") == group
            }
            # A scan outside of all groups is far from all of them.
            others = members if len(members) >= MIN_CASES else self.logarithms
            found.update(robust_deviations(members, list(others.values()), self.factor))
        return found

    def median(self, case: str) -> float:
        """Return the median of the cases with which a case is compared."""
        group = self.groups.get(case, "")
        members = [
            value for name, value in self.values.items() if self.groups.get(name, "") == group
        ]
        return float(np.median(members if len(members) >= MIN_CASES else [*self.values.values()]))


def robust_deviations(
    members: Mapping[str, float], others: Sequence[float], factor: float
) -> dict[str, float]:
    """Return how many robust standard deviations each member is from the median of the others.

    Args:
        members: case id -> logarithm of a measurement.
        others: logarithms with which they are compared.
        factor: ratio to the median that an outlier must have at least.

    >>> logs = {name: math.log(value) for name, value in zip("abcde", [8, 9, 10, 11, 90])}
    >>> deviations = robust_deviations(logs, list(logs.values()), factor=1.5)
    >>> {name: round(value, 1) for name, value in deviations.items()}
    {'a': -1.4, 'b': -0.7, 'c': 0.0, 'd': 0.6, 'e': 14.1}
    """
    if len(others) < MIN_CASES:
        return dict.fromkeys(members, 0.0)
    middle = float(np.median(others))
    spread = robust_spread(np.array(others))
    least = math.log(factor) / DEVIATIONS
    return {case: (value - middle) / max(spread, least) for case, value in members.items()}


def quantities(measured: MeasuredDataset, *families: str) -> list[Quantity]:
    """Return the measurements by which cases are compared, of all families or of those named."""
    chosen = families or tuple(FAMILIES)
    return [quantity for family in chosen for quantity in FAMILIES[family](measured)]


def odd_spacing(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a note for each case whose spacing is an outlier, unless it has a warning already."""
    far = {problem.case for problem in unusual_spacing(measured)}
    yield from (problem for problem in _notes(measured, "spacing") if problem.case not in far)


def odd_size(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a note for each case whose field of view is an outlier."""
    yield from _notes(measured, "size")


def odd_intensity(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a note for each case whose intensities are outliers in its intensity group."""
    yield from _notes(measured, "intensity")


def odd_volume(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a note for each label volume that is an outlier, and for labels that only few lack.

    A label that is cut off or small, or that almost all cases have, has a warning already.
    """
    cut = _named(measured, cut_labels, empty_slices, small_labels)
    reported = usually_present(measured)
    yield from (problem for problem in _notes(measured, "volume") if problem.case not in cut)
    labeled = [case for case in measured.cases if case.labels]
    if len(labeled) < MIN_CASES:
        return
    for name in measured.dataset.labels:
        lacking = [case.id for case in labeled if name not in case.labels]
        if lacking and len(lacking) <= (1 - USUALLY) * len(labeled):
            for case in lacking:
                others = len(labeled) - len(lacking)
                text = f"label {name} is absent; {others} of {len(labeled)} cases have it"
                if name not in reported.get(case, ()):
                    yield Problem(case, "note", text)


def small_labels(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each volume that is far too small, of labels that are alike in size.

    Labels that are cut off or lack slices have a warning already. Where a part of the scan is not
    annotated, a volume says nothing.
    """
    left_out = _named(measured, cut_labels, empty_slices)
    left_out |= {case.id for case in measured.cases if case.ignored}
    for quantity in quantities(measured, "volume"):
        spread = robust_spread(np.array([*quantity.logarithms.values()]))
        for case, deviation in quantity.deviations().items():
            if deviation < -DEVIATIONS and spread <= ALIKE and case not in left_out:
                yield Problem(case, "warning", deviation_text(quantity, case, deviation))


def _named(measured: MeasuredDataset, *checks: Compare) -> set[str]:
    """Return the cases that other checks name."""
    return {problem.case for check in checks for problem in measured.problems_of(check)}


def _notes(measured: MeasuredDataset, family: str) -> Iterator[Problem]:
    """Yield a note for each case with an outlier of a family: its farthest measurement."""
    worst: dict[str, tuple[float, Quantity]] = {}
    volumes = family == "volume"
    for quantity in quantities(measured, family):
        for case, deviation in quantity.deviations().items():
            if abs(deviation) <= DEVIATIONS:
                continue
            if volumes:
                yield Problem(case, "note", deviation_text(quantity, case, deviation))
            elif abs(deviation) > abs(worst.get(case, (0.0,))[0]):
                worst[case] = (deviation, quantity)
    for case, (deviation, quantity) in worst.items():
        yield Problem(case, "note", deviation_text(quantity, case, deviation))


def deviation_text(quantity: Quantity, case: str, deviation: float) -> str:
    """Return a measurement in words, with the median and the distance from it."""
    unit = f" {quantity.unit}" if quantity.unit else ""
    group = quantity.groups.get(case, "")
    of = "of all cases " if group == OUTSIDE else f"of {group} " if group else ""
    side = "above" if deviation > 0 else "below"
    return (
        f"{quantity.name} {number_text(quantity.values[case])}{unit}; the median {of}is"
        f" {number_text(quantity.median(case))}{unit}"
        f" ({abs(deviation):.1f} robust standard deviations {side} it)"
    )


def _spacings(measured: MeasuredDataset) -> Iterator[Quantity]:
    if measured.unit == "mm":
        edges = {case.id: case.spacing for case in measured.cases}
        yield from _along_axes("spacing", "voxel spacing", 1.3, edges, measured)


def _sizes(measured: MeasuredDataset) -> Iterator[Quantity]:
    sizes = {case.id: case.size for case in measured.cases}
    yield from _along_axes("size", "field of view", 1.5, sizes, measured)


def _along_axes(
    family: str, name: str, factor: float, lengths: Mapping[str, Point], measured: MeasuredDataset
) -> Iterator[Quantity]:
    for axis in range(3):
        # The thickness of a single slice says nothing.
        several = [case.id for case in measured.cases if case.shape[axis] > 1]
        values = {case: lengths[case][axis] for case in several}
        if values:
            yield _quantity(family, f"{name} along {'xyz'[axis]}", measured.unit, factor, values)


def _intensities(measured: MeasuredDataset) -> Iterator[Quantity]:
    """Yield median and spread of each channel that has no calibrated values, by group."""
    groups = groups_of_scans(measured) if measured.details else {}
    for number, channel in enumerate(measured.dataset.channels):
        if is_calibrated(channel):
            continue
        found = {
            case.id: features([measured.details[case.id].values[number]])
            for case in measured.cases
            if case.id in measured.details and channel not in case.constant
        }
        for column, name in enumerate(("median intensity", "spread of intensity")):
            logarithms = {case: float(both[column]) for case, both in found.items()}
            values = {
                case: math.sinh(value) if column == 0 else math.exp(value)
                for case, value in logarithms.items()
            }
            if values:
                of = f"{name} of {channel}"
                yield Quantity("intensity", of, "", 3.0, values, logarithms, groups)


def _volumes(measured: MeasuredDataset) -> Iterator[Quantity]:
    scale, unit = (1000.0, "ml") if measured.unit == "mm" else (1.0, "px")
    for name in measured.dataset.labels:
        values = {
            case.id: case.labels[name].volume / scale
            for case in measured.cases
            if name in case.labels
        }
        if values:
            yield _quantity("volume", f"volume of {name}", unit, 2.0, values)


def _quantity(
    family: str, name: str, unit: str, factor: float, values: Mapping[str, float]
) -> Quantity:
    logarithms = {case: math.log(value) for case, value in values.items()}
    return Quantity(family, name, unit, factor, values, logarithms, {})


FAMILIES: dict[str, Callable[[MeasuredDataset], Iterator[Quantity]]] = {
    "spacing": _spacings,
    "size": _sizes,
    "intensity": _intensities,
    "volume": _volumes,
}
"""Function that yields the measurements of each family."""
