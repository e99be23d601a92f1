"""Check for copies of scans and for label maps that several scans share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from segkit.dataset.dataset import Case
from segkit.dataset_check.problem import MeasuredDataset, Problem, dataset_warning
from segkit.errors import first_few
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.identical_images import copies_of


def copies(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each group of cases whose images have the same voxels."""
    cases = {case.id: case for case in measured.dataset.cases}
    facts = {case.id: case for case in measured.cases}
    # A split column determines the folds if it gives every case a number.
    has_split = all(case.split.isdecimal() for case in cases.values())
    for group in copies_of(measured.cases):
        first, *others = group
        differ = any(_label_sizes(facts[other]) != _label_sizes(facts[first]) for other in others)
        labels = ", with different label maps" if differ else ""
        consequence = _consequence([cases[case] for case in group], has_split=has_split)
        yield dataset_warning(
            f"{', '.join(group)} are the same scan, voxel for voxel{labels}{consequence}"
        )


def _consequence(copied: Sequence[Case], *, has_split: bool) -> str:
    """Return the consequence of copies for the folds, as the end of a sentence."""
    if has_split:
        if len({case.split for case in copied}) > 1:
            return ", and the column 'split' lets one train while the other validates: correct it"
        return ""
    if copied[0].patient and len({case.patient for case in copied}) == 1:
        return ""
    return ": they are treated as one patient and stay in one fold"


def shared_label_maps(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each label map that belongs to scans of several patients.

    Several scans of one patient on the same grid may share a label map.
    """
    cases: dict[Path, list[Case]] = defaultdict(list)
    for case in measured.dataset.cases:
        if case.label is not None:
            cases[case.label].append(case)
    for label, sharing in cases.items():
        patients = {case.patient or case.id for case in sharing}
        if len({case.images for case in sharing}) > 1 and len(patients) > 1:
            yield dataset_warning(
                f"{label.name} is the label map of {first_few([case.id for case in sharing])},"
                " which are treated as separate patients: is one of the paths wrong? If they are"
                " scans of one patient, say so in the column 'patient' of a CSV file"
            )


def _label_sizes(facts: CaseFacts) -> dict[str, int]:
    return {name: label.voxels for name, label in facts.labels.items()}
