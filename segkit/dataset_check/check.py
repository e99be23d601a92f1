"""Is a dataset sound? Reads everything and collects problems instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from segkit.dataset import Dataset
from segkit.dataset_check.geometry import unusual_spacing
from segkit.dataset_check.label_maps import missing_labels
from segkit.dataset_check.measured_dataset import MeasuredDataset
from segkit.dataset_check.problem import Problem
from segkit.errors import InputError
from segkit.planning.case_facts import CaseFacts, MeasuredCase, case_warnings, measure_case
from segkit.planning.fingerprint import summarize

CHECKS: tuple[Callable[[MeasuredDataset], Iterator[Problem]], ...] = (
    missing_labels,
    unusual_spacing,
)
"""Checks that compare all cases that could be read, in the order of their problems."""


def check(dataset: Dataset, progress: Callable[[int, int, str], None] | None = None) -> list[Problem]:
    """Problems of every case in the dataset's order, then those of the dataset as a whole; [] for a sound one."""
    problems: list[Problem] = []
    measured: list[MeasuredCase] = []
    for number, case in enumerate(dataset.cases):
        try:
            measured.append(measure_case(case, dataset, number))
            problems += [Problem(case.id, "warning", message) for message in case_warnings(measured[-1].facts)]
        except InputError as error:
            problems.append(Problem(case.id, "error", str(error)))
        if progress:
            progress(number + 1, len(dataset.cases), case.id)
    return [*problems, *_as_a_whole(dataset, measured), *compare_cases(dataset, [case.facts for case in measured])]


def compare_cases(dataset: Dataset, facts: Sequence[CaseFacts]) -> list[Problem]:
    """Problems that show when the cases of a dataset are compared with each other."""
    return [problem for compare in CHECKS for problem in compare(MeasuredDataset(dataset, facts))]


def _as_a_whole(dataset: Dataset, measured: Sequence[MeasuredCase]) -> list[Problem]:
    if dataset.cases and not measured:
        return []
    try:
        summarize(dataset, measured)
    except InputError as error:
        return [Problem("", "error", str(error))]
    return []
