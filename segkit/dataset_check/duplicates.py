"""Checks for copies of cases. Names that look like one patient are noticed where a dataset is read."""

from __future__ import annotations

from collections.abc import Iterator

from segkit.dataset_check.measured_dataset import MeasuredDataset
from segkit.dataset_check.problem import Problem
from segkit.planning.case_facts import CaseFacts
from segkit.planning.copies import copies_of
from segkit.planning.label_facts import Point


def copies(measured: MeasuredDataset) -> Iterator[Problem]:
    """Cases whose images have the same voxels."""
    patients = {case.id: case.patient for case in measured.dataset.cases}
    facts = {case.id: case for case in measured.cases}
    for group in copies_of(measured.cases):
        first, *others = group
        differ = any(_places(facts[other]) != _places(facts[first]) for other in others)
        named = len({patients[case] for case in group}) == 1 and patients[first]
        consequence = (
            "" if named else ": they count as one patient, so that no fold trains on one and validates on another"
        )
        labels = "; their label maps differ" if differ else ""
        yield Problem("", "warning", f"{', '.join(group)} are the same scan, voxel for voxel{labels}{consequence}")


def _places(facts: CaseFacts) -> dict[str, tuple[int, Point]]:
    """Return where each label is. Its intensities do not count: they are drawn anew for every case."""
    return {name: (label.voxels, label.centroid) for name, label in facts.labels.items()}
