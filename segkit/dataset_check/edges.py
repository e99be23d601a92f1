"""Check whether label maps fit their images, by the intensities across the edges of the labels."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from segkit.dataset_check.edge_fits import EdgeFit, agreement, fit, reference_profile
from segkit.dataset_check.edge_profiles import EdgeProfile
from segkit.dataset_check.incomplete_labels import ALIKE, empty_slices
from segkit.dataset_check.label_orders import odd_orders, robust_spread
from segkit.dataset_check.overview import Overview, overview_profiles
from segkit.dataset_check.problem import Compare, MeasuredDataset, Problem, dataset_warning
from segkit.dataset_check.sides import DIRECTIONS
from segkit.labels.scheme import membership
from segkit.volume import Shape

MIN_CASES = 10
"""Smallest number of cases with a label for its usual profile."""
SHIFT = 0.65
"""Least displacement of an edge in voxels: a label that is a voxel too large has about 1."""
FITS = 0.7
"""Least correlation of the displaced profile with the usual one."""
SPREADS = 3.0
"""Number of robust standard deviations of the displacement in the other cases that it exceeds."""
SHARPER = 0.2
"""Least gain in agreement by the displacement."""
LARGER = 1.0
"""Number of robust standard deviations by which the volume must differ in the same direction."""
LEAST_SPREAD = 0.1
"""Smallest standard deviation of the logarithm of the volume that counts."""
GAIN = 0.35
"""Least gain in agreement by which a mirrored image fits better than the image as it is."""
PAIR_GAIN = 0.6
"""Least gain of two cases together by which they fit better with exchanged label maps."""
USUAL = 2.0
"""Robust standard deviations below the median agreement up to which images fit as usual."""
LEAST_USUAL = 0.5
"""Least agreement that is usual, about a correlation of 0.46.

Where images that fit may agree less, as with lesions that are darker in some cases and brighter in
others, any image fits better if it is mirrored or exchanged often enough.
"""
WORST = 40
"""Largest number of cases, those that fit worst, whose label maps are tried on each other."""

Profiles = Mapping[int, EdgeProfile]
References = Mapping[int, NDArray[np.float64]]


def shifted_edges(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each case with labels whose edge lies farther in or out than usual.

    The displacement must be far from that of the other cases, the displaced profile must fit, and
    the volume must be larger or smaller accordingly.
    """
    found: dict[tuple[str, bool], list[tuple[str, float]]] = defaultdict(list)
    for name in measured.dataset.labels:
        for case, shift in _shifts(measured, name).items():
            found[case, shift > 0].append((name, abs(shift)))
    explained = {*odd_orders(measured), *_named(mirrored_images, measured)}
    explained |= {*_named(exchanged_label_maps, measured), *_named(empty_slices, measured)}
    for (case, outward), labels in found.items():
        if case not in explained:
            names = ", ".join(name for name, _ in labels)
            apart = np.mean([shift for _, shift in labels])
            where, cause = ("outside", "dilated") if outward else ("inside", "eroded")
            yield Problem(
                case,
                "warning",
                f"the edge of {names} lies {apart:.1f} voxels {where} of where the image changes in"
                f" the other cases, and the volume is {'larger' if outward else 'smaller'}: is the"
                f" label map {cause}?",
            )


def _named(check: Compare, measured: MeasuredDataset) -> set[str]:
    """Return the cases that another check names."""
    return {
        case for problem in measured.problems_of(check) for case in (problem.case, *problem.cases)
    }


def mirrored_images(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each case whose image fits its label map only if it is mirrored."""
    usual = _Usual(measured)
    for case, image, indices in usual.badly_fitting():
        gains = {
            axis: usual.agreement(np.flip(image, axis), indices) - usual.own[case]
            for axis in range(3)
            if image.shape[axis] > 1
        }
        axis = max(gains, key=lambda each: gains[each])
        if gains[axis] >= GAIN and usual.is_usual(usual.own[case] + gains[axis]):
            along = f"along {'xyz'[axis]}" if measured.unit == "px" else f"({DIRECTIONS[axis]})"
            yield Problem(
                case,
                "warning",
                f"the image fits its label map as in the other cases if it is mirrored {along}, and"
                " not as it is: was one of the two mirrored without the other?",
            )


def exchanged_label_maps(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for two cases of one shape that fit each other's label map, not their own."""
    usual = _Usual(measured)
    worst = sorted(usual.badly_fitting(), key=lambda each: usual.own[each[0]])[:WORST]
    for (case, image, indices), (other, other_image, other_indices) in combinations(worst, 2):
        if usual.shape(case) != usual.shape(other):
            continue
        exchanged = (
            usual.agreement(image, other_indices),
            usual.agreement(other_image, indices),
        )
        gain = sum(exchanged) - usual.own[case] - usual.own[other]
        if gain >= PAIR_GAIN and all(map(usual.is_usual, exchanged)):
            yield dataset_warning(
                f"{case}, {other} have the same shape, and each image fits the label map of the"
                " other better than its own: are the two label maps exchanged?",
                (case, other),
            )


class _Usual:
    """Usual profiles in the overviews of a dataset, and how well each case agrees with them."""

    def __init__(self, measured: MeasuredDataset) -> None:
        self.measured = measured
        self.holds = np.array(membership(measured.dataset.labels, measured.dataset.regions))
        profiles = defaultdict(list)
        for details in measured.details.values():
            for label, profile in details.overview_profiles.items():
                profiles[label].append(profile)
        self.references: References = {
            label: reference_profile(each)
            for label, each in profiles.items()
            if len(each) >= MIN_CASES
        }
        self.own = {
            case: found
            for case, details in measured.details.items()
            if (found := _agreement(details.overview_profiles, self.references)) is not None
        }
        values = np.array([*self.own.values()])
        self.median = float(np.median(values)) if values.size else 0.0
        self.spread = robust_spread(values)

    def badly_fitting(self) -> Iterator[tuple[str, NDArray[np.uint8], NDArray[np.uint16]]]:
        """Yield id, image and label indices of the cases that agree less than the median does."""
        if not self.is_clear():
            return
        explained = set(odd_orders(self.measured))
        for case, own in self.own.items():
            overview: Overview | None = self.measured.details[case].overview
            if overview is not None and own < self.median and case not in explained:
                yield case, overview.image, overview.indices

    def agreement(self, image: NDArray[np.uint8], indices: NDArray[np.uint16]) -> float:
        """Return how well an image and label indices agree with the usual profiles."""
        profiles = overview_profiles(image, indices, self.holds)
        return _agreement(profiles, self.references) or 0.0

    def shape(self, case: str) -> Shape | None:
        """Return the number of voxels of a whole scan along X, Y, Z."""
        overview = self.measured.details[case].overview
        return overview.shape if overview else None

    def is_clear(self) -> bool:
        """Return whether nearly all cases agree with the usual profiles, so that others are odd."""
        return self.median - USUAL * self.spread >= LEAST_USUAL

    def is_usual(self, value: float) -> bool:
        """Return whether an agreement is about as good as in most cases."""
        return value >= self.median - USUAL * self.spread


def _agreement(profiles: Profiles, references: References) -> float | None:
    """Return the mean agreement of the labels, weighted by the size of their surface."""
    known = [label for label in profiles if label in references]
    if not known:
        return None
    values = [agreement(fit(profiles[label], references[label]).as_is) for label in known]
    return float(np.average(values, weights=[profiles[label].faces.sum() for label in known]))


def _shifts(measured: MeasuredDataset, name: str) -> dict[str, float]:
    """Return case id -> displacement of the edge of a label in voxels, where it is unusual."""
    profiles = {
        case.id: measured.details[case.id].edges[name]
        for case in measured.cases
        if case.id in measured.details and name in measured.details[case.id].edges
    }
    if len(profiles) < MIN_CASES:
        return {}
    reference = reference_profile(list(profiles.values()))
    fits = {case: fit(profile, reference) for case, profile in profiles.items()}
    volumes = {case.id: case.labels[name].volume for case in measured.cases if case.id in fits}
    return _unusual(fits, volumes)


def _unusual(fits: Mapping[str, EdgeFit], volumes: Mapping[str, float]) -> dict[str, float]:
    """Return the displacements that are unusual, of labels whose volume differs accordingly."""
    shifts = np.array([each.shift for each in fits.values()])
    sizes = np.log([volumes[case] for case in fits])
    larger = sizes - np.median(sizes)
    apart = shifts - np.median(shifts)
    least = max(SHIFT, SPREADS * robust_spread(shifts))
    if robust_spread(sizes) > ALIKE:
        return {}
    much = LARGER * max(LEAST_SPREAD, robust_spread(sizes))
    return {
        case: float(shift)
        for case, each, shift, size in zip(fits, fits.values(), apart, larger, strict=True)
        if abs(shift) >= least - 1e-9
        and np.sign(shift) * size >= much
        and each.best >= FITS
        and agreement(each.best) - agreement(each.as_is) >= SHARPER
    }
