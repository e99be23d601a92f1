"""Check for copies of scans and for label maps that several scans share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from segkit.dataset.dataset import Case, is_fold
from segkit.dataset_check.problem import MeasuredDataset, Problem, dataset_warning
from segkit.errors import first_few
from segkit.fingerprint.case_facts import CaseFacts
from segkit.fingerprint.identical_images import copies_of


def copies(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield a warning for each group of cases whose images have the same voxels."""
    for group in copies_of(measured.cases):
        if not _in_two_folds(group, measured):
            text = f"{_same(group, measured)}{_consequence(group, measured)}"
            yield dataset_warning(text, group)


def copies_in_two_folds(measured: MeasuredDataset) -> Iterator[Problem]:
    """Yield an error for each group of copies that the split column puts into several folds."""
    for group in copies_of(measured.cases):
        if _in_two_folds(group, measured):
            yield Problem(
                "",
                "error",
                f"{_same(group, measured)}, and the column 'split' lets one train while the other"
                " validates: correct it",
                cases=tuple(group),
            )


def _same(group: Sequence[str], measured: MeasuredDataset) -> str:
    """Return which cases are copies, and whether their label maps differ."""
    facts = {case.id: case for case in measured.cases}
    sizes = [_label_sizes(facts[case]) for case in group]
    labels = ", with different label maps" if any(each != sizes[0] for each in sizes) else ""
    return f"{', '.join(group)} are the same scan, voxel for voxel{labels}"


def _has_folds(measured: MeasuredDataset) -> bool:
    """Return whether the split column determines the folds: every case has a number there."""
    return all(is_fold(case.split) for case in measured.dataset.cases)


def _in_two_folds(group: Sequence[str], measured: MeasuredDataset) -> bool:
    copied = measured.dataset.select(group)
    return _has_folds(measured) and len({int(case.split) for case in copied}) > 1


def _consequence(group: Sequence[str], measured: MeasuredDataset) -> str:
    """Return the consequence of copies for the folds, as the end of a sentence."""
    copied = measured.dataset.select(group)
    one_patient = copied[0].patient and len({case.patient for case in copied}) == 1
    if _has_folds(measured) or one_patient:
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
                " scans of one patient, say so in the column 'patient' of a CSV file",
                [case.id for case in sharing],
            )


def _label_sizes(facts: CaseFacts) -> dict[str, int]:
    return {name: label.voxels for name, label in facts.labels.items()}
