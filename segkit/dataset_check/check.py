"""Is a dataset sound? Reads everything and collects problems instead of stopping at the first."""

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
from segkit.dataset_check.measured_dataset import MeasuredDataset
from segkit.dataset_check.problem import Problem
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
"""Checks that compare all cases that could be read, in the order of their problems."""
DRAWN = 500
"""Labelled voxels of a case whose values are looked at."""


def check(dataset: Dataset, progress: CaseProgress | None = None) -> list[Problem]:
    """Problems of every case in the dataset's order, then those of the dataset as a whole; [] for a sound one."""
    problems: list[Problem] = []
    measured: list[MeasuredCase] = []
    for number, case in enumerate(dataset.cases):
        try:
            measured.append(measure_case(case, dataset, number, DRAWN))
            problems += [
                Problem(case.id, "warning", message)
                for message in case_warnings(measured[-1].facts)
            ]
        except InputError as error:
            problems.append(Problem(case.id, "error", str(error)))
        if progress:
            progress(number + 1, len(dataset.cases), case.id)
    notices = [Problem("", "warning", notice) for notice in dataset.notices]
    unit = measured[0].unit if measured else "mm"
    compared = compare_cases(MeasuredDataset(dataset, [case.facts for case in measured], unit))
    return [*problems, *notices, *_as_a_whole(dataset, measured), *compared]


def compare_cases(measured: MeasuredDataset, spacing: Spacing | None = None) -> list[Problem]:
    """Problems that show when the cases of a dataset are compared with each other.

    ``spacing`` is that to which they are resampled; None takes what would be planned.
    """
    spacing = spacing or planned_spacing(measured)
    compared = [problem for compare in CHECKS for problem in compare(measured)]
    return [*compared, *(lost_labels(measured, spacing) if spacing else ())]


def _as_a_whole(dataset: Dataset, measured: Sequence[MeasuredCase]) -> list[Problem]:
    # Without labels no label map could be read, which stands there already: that is not the same as empty ones.
    if dataset.cases and (not measured or not dataset.labels):
        return []
    try:
        summarize(dataset, measured)
    except InputError as error:
        return [Problem("", "error", str(error))]
    return []
