"""Checks for cases of one patient that are not marked as such."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

from segkit.dataset_check.measured_dataset import MeasuredDataset
from segkit.dataset_check.problem import Problem
from segkit.planning.case_facts import CaseFacts
from segkit.planning.copies import copies_of

TIME_POINT = re.compile(
    r"[-_. ]?(?:tp|time[-_]?point|time|ses(?:sion)?|visit|scan|exam|follow[-_]?up|fu|baseline|bl)[-_]?\d*$",
    re.IGNORECASE,
)


def copies(measured: MeasuredDataset) -> Iterator[Problem]:
    """Cases whose images have the same voxels."""
    patients = {case.id: case.patient for case in measured.dataset.cases}
    facts = {case.id: case for case in measured.cases}
    for group in copies_of(measured.cases):
        first, *others = group
        differ = any(_voxels(facts[other]) != _voxels(facts[first]) for other in others)
        named = len({patients[case] for case in group}) == 1 and patients[first]
        labels = ", with different label maps" if differ else ""
        consequence = "" if named else ": they count as one patient, which no fold splits"
        yield Problem("", "warning", f"{', '.join(group)} are the same scan, voxel for voxel{labels}{consequence}")


def _voxels(facts: CaseFacts) -> dict[str, int]:
    return {name: label.voxels for name, label in facts.labels.items()}


def time_points(measured: MeasuredDataset) -> Iterator[Problem]:
    """Cases whose names differ in a time point only, where no patients are named."""
    if any(case.patient for case in measured.dataset.cases):
        return
    groups = defaultdict(list)
    for case in measured.dataset.cases:
        if TIME_POINT.search(case.id):
            groups[TIME_POINT.sub("", case.id)].append(case.id)
    found = [group for stem, group in groups.items() if stem and len(group) > 1]
    if found:
        more = f", and {len(found) - 1} more groups like them" if len(found) > 1 else ""
        yield Problem(
            "",
            "warning",
            f"by their names, {' and '.join(found[0])} are time points of one patient{more}: one may train while the"
            " other validates. Name patients in the column 'patient' of a CSV file",
        )
