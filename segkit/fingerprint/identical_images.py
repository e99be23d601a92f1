"""Find cases whose images have the same voxels, and treat them as one patient."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Sequence

from segkit.dataset.dataset import Dataset
from segkit.fingerprint.case_facts import CaseFacts


def copies_of(cases: Sequence[CaseFacts]) -> list[list[str]]:
    """Return groups of ids of cases with the same voxels.

    Images in which all channels are constant are not counted as copies.
    """
    groups = defaultdict(list)
    for case in cases:
        if len(case.constant) < len(case.channels):
            groups[case.voxels_hash].append(case.id)
    return [group for group in groups.values() if len(group) > 1]


def with_voxels_hashes(dataset: Dataset, cases: Sequence[CaseFacts]) -> Dataset:
    """Return the dataset with the hash of the voxels of each case that was measured."""
    hashes = {case.id: case.voxels_hash for case in cases}
    named = (
        dataclasses.replace(case, voxels_hash=hashes.get(case.id, "")) for case in dataset.cases
    )
    return dataclasses.replace(dataset, cases=tuple(named))


def copies_as_one_patient(dataset: Dataset, groups: Sequence[Sequence[str]]) -> Dataset:
    """Return the dataset with the patients of each group of copies merged into one.

    Args:
        dataset: the dataset.
        groups: ids of cases with the same voxels.
    """
    patients = {case.id: case.patient or case.id for case in dataset.cases}
    for group in groups:
        first, *others = (patients[case] for case in group)
        joined = {first, *others}
        patients = {
            case: first if patient in joined else patient for case, patient in patients.items()
        }
    cases = tuple(
        case
        if patients[case.id] == (case.patient or case.id)
        else dataclasses.replace(case, patient=patients[case.id])
        for case in dataset.cases
    )
    return dataclasses.replace(dataset, cases=cases)
