"""Read every case of a dataset and collect its problems instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from segkit.dataset.dataset import Dataset
from segkit.dataset_check.duplicates import copies, shared_label_maps
from segkit.dataset_check.geometry import tiny_voxels, unusual_spacing
from segkit.dataset_check.intensities import ct_values, unnamed_ct
from segkit.dataset_check.label_maps import (
    blurred_edges,
    inverted_masks,
    missing_labels,
    rare_labels,
    two_encodings,
)
from segkit.dataset_check.problem import MeasuredDataset, Problem, dataset_warning
from segkit.dataset_check.resampling import lost_labels, planned_spacing
from segkit.errors import InputError
from segkit.fingerprint.case_facts import MeasuredCase, case_warnings, measure_case
from segkit.fingerprint.fingerprint import summarize
from segkit.fingerprint.usual_spacing import Spacing
from segkit.progress import CaseProgress

CHECKS: tuple[Callable[[MeasuredDataset], Iterator[Problem]], ...] = (
    missing_labels,
    rare_labels,
    blurred_edges,
    two_encodings,
    inverted_masks,
    unusual_spacing,
    tiny_voxels,
    unnamed_ct,
    ct_values,
    copies,
    shared_label_maps,
)
"""Checks that compare the cases with each other, in the order of their problems."""
SAMPLED_VOXELS = 500
"""Number of labeled voxels of a case whose values are sampled."""


def check(dataset: Dataset, progress: CaseProgress | None = None) -> list[Problem]:
    """Return the problems of each case, then those of the dataset as a whole; [] if there are none.

    Args:
        dataset: the dataset, with the names of its channels and labels.
        progress: called after each case with the number of cases done, of all cases, and the id.
    """
    problems: list[Problem] = []
    measured: list[MeasuredCase] = []
    for number, case in enumerate(dataset.cases):
        try:
            measured_case = measure_case(case, dataset, number, SAMPLED_VOXELS)
        except InputError as error:
            problems.append(Problem(case.id, "error", str(error)))
        else:
            measured.append(measured_case)
            messages = case_warnings(measured_case.facts)
            problems += [Problem(case.id, "warning", message) for message in messages]
        if progress:
            progress(number + 1, len(dataset.cases), case.id)
    notices = [dataset_warning(notice) for notice in dataset.notices]
    unit = measured[0].unit if measured else "mm"
    facts = [measured_case.facts for measured_case in measured]
    comparison = compare_cases(MeasuredDataset(dataset, facts, unit))
    return [*problems, *notices, *_summary_errors(dataset, measured), *comparison]


def compare_cases(measured: MeasuredDataset, spacing: Spacing | None = None) -> list[Problem]:
    """Return the problems that show when the cases of a dataset are compared with each other.

    Args:
        measured: the dataset and the facts of its cases.
        spacing: voxel spacing (X, Y, Z) in mm or px to which scans are resampled; by default the
            one that would be planned.
    """
    spacing = spacing or planned_spacing(measured)
    problems = [problem for check_cases in CHECKS for problem in check_cases(measured)]
    if spacing:
        problems += lost_labels(measured, spacing)
    return problems


def _summary_errors(dataset: Dataset, measured: Sequence[MeasuredCase]) -> list[Problem]:
    """Return the error that makes the dataset as a whole unusable, if there is one."""
    # If no case or no label map could be read, each already has its own error.
    if dataset.cases and (not measured or not dataset.labels):
        return []
    try:
        summarize(dataset, measured)
    except InputError as error:
        return [Problem("", "error", str(error))]
    return []
