"""How many faults of label maps and images does `segkit check` find in a real dataset?

    python benchmarks/check_faults.py DATASET

Each fault is planted into every tenth case of the dataset (a missing part into every twentieth), in
memory, in as many rounds, so that every case has it once. A case is found if a warning of the right
check names it. A false alarm is a case without a planted fault that the warnings of these checks
name. With --selections, nothing is planted, and the cases are counted that are named in random
selections of few cases.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset.layouts import read_dataset
from segkit.dataset_check.case_details import CaseDetails, case_details
from segkit.dataset_check.checks import CHECKS
from segkit.dataset_check.problem import MeasuredDataset
from segkit.fingerprint.case_facts import CaseFacts, CaseVoxels, measure_voxels, read_voxels

Array = NDArray[Any]
NAMES = (
    "saturated_image",
    "empty_slices",
    "cut_label",
    "small_label",
    "absent_label",
    "exchanged_labels",
    "mirrored_case",
    "shifted_edge",
    "mirrored_image",
    "exchanged_label_maps",
)
"""Checks whose warnings count."""
ROUNDS = 10
SELECTIONS = {10: 40, 15: 40, 30: 20, 60: 10}
"""Number of cases -> how many selections are made."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """A fault, and the checks that find it."""

    name: str
    checks: tuple[str, ...]
    image: Callable[[Array], Array] = lambda array: array
    labels: Callable[[Array], Array] = lambda array: array


def grown(around: int) -> Callable[[Array], Array]:
    """Dilate every label by a voxel into the background, over faces (6) or also corners (26)."""
    structure = scipy.ndimage.generate_binary_structure(3, 1 if around == 6 else 3)

    def dilated(labels: Array) -> Array:
        result = labels.copy()
        for value in np.unique(labels[labels > 0]):
            result[scipy.ndimage.binary_dilation(labels == value, structure) & (result == 0)] = (
                value
            )
        return result

    return dilated


def first_grown(labels: Array) -> Array:
    """Dilate the first label alone."""
    result = labels.copy()
    result[scipy.ndimage.binary_dilation(labels == 1) & (labels == 0)] = 1
    return result


def shrunk(labels: Array) -> Array:
    """Erode the foreground by a voxel."""
    return np.where(scipy.ndimage.binary_erosion(labels > 0), labels, 0)


def flipped(axis: int) -> Callable[[Array], Array]:
    """Mirror an image (C, X, Y, Z)."""
    return lambda array: np.flip(array, 1 + axis)


def saturated(percent: float) -> Callable[[Array], Array]:
    """Save an image in 8 bits with a window that ends at a percentile."""

    def clipped(array: Array) -> Array:
        return np.clip(array / np.percentile(array, percent) * 255, 0, 255).astype(np.uint8)

    return clipped


def half(axis: int, *, upper: bool) -> Callable[[Array], Array]:
    """Remove the half of the foreground beyond or before its middle along an axis."""

    def cut(labels: Array) -> Array:
        others = tuple(each for each in range(3) if each != axis)
        planes = np.flatnonzero((labels > 0).any(axis=others))
        middle = (planes[0] + planes[-1] + 1) // 2
        result = np.moveaxis(labels.copy(), axis, 0)
        result[slice(middle, None) if upper else slice(0, middle)] = 0
        return np.moveaxis(result, 0, axis)

    return cut


def every_second(axis: int) -> Callable[[Array], Array]:
    """Empty every second slice."""

    def emptied(labels: Array) -> Array:
        result = np.moveaxis(labels.copy(), axis, 0)
        result[::2] = 0
        return np.moveaxis(result, 0, axis)

    return emptied


def exchanged(labels: Array) -> Array:
    """Exchange the values of the first two labels."""
    return np.where(labels == 1, 2, np.where(labels == 2, 1, labels)).astype(labels.dtype)


SHORT = ("cut_label", "small_label", "absent_label")
FAULTS = [
    Fault("all labels dilated over faces", ("shifted_edge",), labels=grown(6)),
    Fault("all labels dilated over corners", ("shifted_edge",), labels=grown(26)),
    Fault("one label dilated over faces", ("shifted_edge",), labels=first_grown),
    Fault("all labels eroded over faces", ("shifted_edge",), labels=shrunk),
    *[Fault(f"image mirrored along {'xyz'[a]}", ("mirrored_image",), flipped(a)) for a in range(3)],
    Fault("saturated at the 80th percentile", ("saturated_image",), saturated(80)),
    Fault("saturated at the 95th percentile", ("saturated_image",), saturated(95)),
    *[
        Fault(
            f"{'upper' if up else 'lower'} half along {'xyz'[axis]} missing",
            SHORT,
            labels=half(axis, upper=up),
        )
        for axis in range(3)
        for up in (False, True)
    ],
    *[
        Fault(
            f"every second slice along {'xyz'[a]} empty", ("empty_slices",), labels=every_second(a)
        )
        for a in range(3)
    ],
    Fault("second label missing", SHORT, labels=lambda array: np.where(array == 2, 0, array)),
    Fault("values of two labels exchanged", ("exchanged_labels",), labels=exchanged),
]


def measured_case(
    case: Case, voxels: CaseVoxels, dataset: Dataset, number: int
) -> tuple[CaseFacts, CaseDetails]:
    """Return what a check measures of a case."""
    facts = measure_voxels(voxels, case, dataset, number, 500).facts
    return facts, case_details(voxels, facts, case, dataset)


def planted(voxels: CaseVoxels, fault: Fault) -> CaseVoxels:
    """Return the voxels of a case with a fault."""
    array = np.ascontiguousarray(fault.image(voxels.scan.array))
    labels = np.ascontiguousarray(fault.labels(voxels.indices)).astype(voxels.indices.dtype)
    return CaseVoxels(voxels.scan.with_array(array), labels, voxels.axis_map)


def warned(dataset: Dataset, cases: list[tuple[CaseFacts, CaseDetails]]) -> dict[str, set[str]]:
    """Return name of the check -> the cases that it names."""
    facts = [each for each, _ in cases]
    measured = MeasuredDataset(dataset, facts, details={each.id: more for each, more in cases})
    return {
        check.name: {
            case
            for problem in measured.problems_of(check.compare)
            for case in (problem.case, *problem.cases)
            if case
        }
        for check in CHECKS
        if check.compare and check.name in NAMES
    }


def row(fault: Fault, dataset: Dataset, read: list[CaseVoxels], sound: list[Any]) -> str:
    """Return the row of the table for one fault."""
    right = any_check = alarms = 0
    # A label that a tenth of the cases lacks is no longer one that almost all have.
    rounds = 2 * ROUNDS if fault.checks == SHORT else ROUNDS
    for first in range(rounds):
        cases = list(sound)
        changed = range(first, len(cases), rounds)
        for number in changed:
            case = dataset.cases[number]
            cases[number] = measured_case(case, planted(read[number], fault), dataset, number)
        found = warned(dataset, cases)
        ids = {dataset.cases[number].id for number in changed}
        right += len(ids & set().union(*(found[name] for name in fault.checks)))
        every = set().union(*found.values())
        any_check += len(ids & every)
        alarms += len(every - ids)
    count = len(sound)
    return f"| {fault.name} | {right / count:.0%} | {any_check / count:.0%} | {alarms} |"


def exchanged_maps(dataset: Dataset, read: list[CaseVoxels], sound: list[Any]) -> str:
    """Return the row for label maps of two cases of one shape, exchanged pair by pair."""
    shapes = [voxels.indices.shape for voxels in read]
    pairs = [
        (a, b) for a in range(len(read)) for b in range(a + 1, len(read)) if shapes[a] == shapes[b]
    ]
    right = alarms = 0
    for pair in pairs:
        cases = list(sound)
        for own, other in (pair, pair[::-1]):
            voxels = CaseVoxels(read[own].scan, read[other].indices, read[own].axis_map)
            cases[own] = measured_case(dataset.cases[own], voxels, dataset, own)
        found = warned(dataset, cases)
        ids = {dataset.cases[number].id for number in pair}
        right += ids <= found["exchanged_label_maps"]
        alarms += len(set().union(*found.values()) - ids)
    return f"| label maps exchanged ({len(pairs)} pairs) | {right}/{len(pairs)} | | {alarms} |"


def selections(dataset: Dataset, sound: list[Any]) -> None:
    """Print how many cases are named in random selections without a planted fault."""
    random = np.random.default_rng(0)
    for size, count in SELECTIONS.items():
        named = 0
        for _ in range(count):
            chosen = sorted(random.choice(len(sound), size, replace=False).tolist())
            part = dataclasses.replace(dataset, cases=tuple(dataset.cases[i] for i in chosen))
            named += sum(map(len, warned(part, [sound[i] for i in chosen]).values()))
        print(f"| {count} selections of {size} cases | {named} of {count * size} |", flush=True)


def main() -> None:
    """Print a row for each fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset")
    parser.add_argument("--selections", action="store_true")
    parser.add_argument("--only", default="", help="faults whose name contains this")
    given = parser.parse_args()
    dataset = read_dataset(given.dataset)
    read = [read_voxels(case, dataset) for case in dataset.cases]
    sound = [
        measured_case(case, voxels, dataset, number)
        for number, (case, voxels) in enumerate(zip(dataset.cases, read, strict=True))
    ]
    if given.selections:
        selections(dataset, sound)
        return
    alarms = set().union(*warned(dataset, sound).values())
    print(f"{len(read)} cases; named without a planted fault: {len(alarms)}\n")
    print("| fault | found by its check | by any of them | false alarms in all rounds |")
    print("| --- | --- | --- | --- |")
    for fault in (each for each in FAULTS if given.only in each.name):
        print(row(fault, dataset, read, sound), flush=True)
    print(exchanged_maps(dataset, read, sound))


if __name__ == "__main__":
    main()
