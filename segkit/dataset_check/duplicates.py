"""Checks for copies of cases. Names that look like one patient are noticed where a dataset is read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from segkit.dataset.dataset import Case
from segkit.dataset_check.measured_dataset import MeasuredDataset
from segkit.dataset_check.problem import Problem
from segkit.errors import first_few
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.identical_images import copies_of

SPLIT_APART = ", and the column 'split' lets one train while the other validates: correct it"


def copies(measured: MeasuredDataset) -> Iterator[Problem]:
    """Cases whose images have the same voxels."""
    cases = {case.id: case for case in measured.dataset.cases}
    facts = {case.id: case for case in measured.cases}
    for group in copies_of(measured.cases):
        first, *others = group
        differ = any(_voxels(facts[other]) != _voxels(facts[first]) for other in others)
        named = len({cases[case].patient for case in group}) == 1 and cases[first].patient
        labels = ", with different label maps" if differ else ""
        consequence = "" if named else ": they count as one patient, which no fold splits"
        if all(each.split.isdecimal() for each in cases.values()):  # then that column decides
            apart = len({cases[case].split for case in group}) > 1
            consequence = SPLIT_APART if apart else ""
        yield Problem(
            "",
            "warning",
            f"{', '.join(group)} are the same scan, voxel for voxel{labels}{consequence}",
        )


def shared_label_maps(measured: MeasuredDataset) -> Iterator[Problem]:
    """Label maps that several scans have; right where these are of one patient on one grid, and then that is known."""
    cases: dict[Path, list[Case]] = defaultdict(list)
    for case in measured.dataset.cases:
        if case.label is not None:
            cases[case.label].append(case)
    for label, sharing in cases.items():
        patients = {case.patient or case.id for case in sharing}
        if len({case.images for case in sharing}) > 1 and len(patients) > 1:
            yield Problem(
                "",
                "warning",
                f"{label.name} is the label map of {first_few([case.id for case in sharing])}, which count as patients of"
                " their own: is one of the paths wrong? If they are scans of one patient, say so in the column"
                " 'patient' of a CSV file",
            )


def _voxels(facts: CaseFacts) -> dict[str, int]:
    return {name: label.voxels for name, label in facts.labels.items()}
