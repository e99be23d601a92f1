"""Read every case of a dataset and collect its problems instead of stopping at the first."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from segkit.dataset.dataset import Case, Dataset
from segkit.dataset_check.case_details import CaseDetails, case_details
from segkit.dataset_check.checks import BY_NAME, CHECKS
from segkit.dataset_check.header_suspects import scan_headers
from segkit.dataset_check.problem import MeasuredDataset, Problem, Severity, dataset_warning
from segkit.dataset_check.reading import reading_problems
from segkit.errors import InputError
from segkit.fingerprint.case_facts import (
    CaseVoxels,
    MeasuredCase,
    case_warnings,
    measure_voxels,
    read_voxels,
)
from segkit.fingerprint.fingerprint import summarize
from segkit.fingerprint.usual_spacing import Spacing
from segkit.progress import CaseProgress

SAMPLED_VOXELS = 500
"""Number of labeled voxels of a case whose values are sampled."""
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""Severities, the worst first."""

See = Callable[[Case, CaseVoxels | None], None]
"""Callback with the voxels of a case while they are in memory; None if it has an error."""


@dataclass(frozen=True)
class Examined:
    """Result of a check: the problems, the worst first, and the measurements they come from."""

    problems: list[Problem]
    measured: MeasuredDataset


def check(dataset: Dataset, progress: CaseProgress | None = None) -> list[Problem]:
    """Return the problems of a dataset, the worst first; [] if there are none.

    Args:
        dataset: the dataset, with the names of its channels and labels.
        progress: called after each case with the number of cases done, of all cases, and the id.
    """
    return examine(dataset, progress).problems


def examine(
    dataset: Dataset, progress: CaseProgress | None = None, see: See | None = None
) -> Examined:
    """Read every case once, one at a time, and return the problems and the measurements.

    Of a case, only its measurements and an overview are kept: about 75 kB.

    Args:
        dataset: the dataset, with the names of its channels and labels.
        progress: as for `check`.
        see: called with each case and its voxels, or None if it has an error.
    """
    problems: list[Problem] = []
    measured: list[MeasuredCase] = []
    details: dict[str, CaseDetails] = {}
    headers = cache(partial(scan_headers, dataset))  # read only if a case has an error
    for number, case in enumerate(dataset.cases):
        voxels: CaseVoxels | None = None
        try:
            voxels = read_voxels(case, dataset)
            one = measure_voxels(voxels, case, dataset, number, SAMPLED_VOXELS)
            details[case.id] = case_details(voxels, one.facts, case, dataset)
        except InputError as error:
            unreadable = Problem(case.id, "error", str(error), "unreadable")
            problems += reading_problems(case, dataset, headers()) or [unreadable]
            voxels = None
        else:
            measured.append(one)
            problems += _case_problems(one)
        if see:
            see(case, voxels)
        if progress:
            progress(number + 1, len(dataset.cases), case.id)
    problems += [
        dataclasses.replace(dataset_warning(notice), check="left_out") for notice in dataset.notices
    ]
    problems += [
        Problem(case.id, "error", case.message, "incomplete_case") for case in dataset.incomplete
    ]
    problems += _summary_errors(dataset, measured)
    unit = measured[0].unit if measured else "mm"
    facts = [measured_case.facts for measured_case in measured]
    together = MeasuredDataset(dataset, facts, unit, details)
    return Examined(_in_order([*problems, *_compared(together)], dataset), together)


def compare_cases(measured: MeasuredDataset, spacing: Spacing | None = None) -> list[Problem]:
    """Return the errors and warnings that show when the cases of a dataset are compared.

    Notes are left to `segkit check`.

    Args:
        measured: the dataset and the facts of its cases.
        spacing: voxel spacing (X, Y, Z) in mm or px to which scans are resampled; by default the
            one that would be planned.
    """
    measured = dataclasses.replace(measured, spacing=spacing)
    problems = [problem for problem in _compared(measured) if problem.severity != "note"]
    return _in_order(problems, measured.dataset)


def _compared(measured: MeasuredDataset) -> list[Problem]:
    """Return the problems of all checks that compare cases."""
    return [
        dataclasses.replace(problem, check=check.name)
        for check in CHECKS
        if check.compare
        for problem in measured.problems_of(check.compare)
    ]


def _case_problems(measured: MeasuredCase) -> list[Problem]:
    return [
        Problem(measured.facts.id, "warning", message, name)
        for name, message in case_warnings(measured.facts).items()
    ]


def _in_order(problems: Sequence[Problem], dataset: Dataset) -> list[Problem]:
    """Return the problems with file and remedy, by severity, then check, then case."""
    cases = {case.id: case for case in dataset.cases}
    order = {check.name: place for place, check in enumerate(CHECKS)}
    folder = re.compile(rf"(?<![\w./-]){re.escape(str(dataset.root))}/")
    complete = [
        dataclasses.replace(
            problem,
            # A page that is passed on should not name the folders of this machine.
            message=folder.sub("", problem.message) if dataset.root.parts else problem.message,
            remedy=BY_NAME[problem.check].remedy,
            file=_file(problem, cases.get(problem.case), dataset.root),
        )
        for problem in problems
    ]
    return sorted(complete, key=lambda each: (SEVERITIES.index(each.severity), order[each.check]))


def _file(problem: Problem, case: Case | None, root: Path) -> str:
    """Return the file to look at, relative to the folder of the dataset if it is inside."""
    if case is None:
        return ""
    which = problem.file or BY_NAME[problem.check].file
    path = case.label if which == "label" else case.images[0]
    if path is None or not case.images:
        return ""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _summary_errors(dataset: Dataset, measured: Sequence[MeasuredCase]) -> list[Problem]:
    """Return the error that makes the dataset as a whole unusable, if there is one."""
    # If no case or no label map could be read, each already has its own error.
    if dataset.cases and (not measured or not dataset.labels):
        return []
    try:
        summarize(dataset, measured)
    except InputError as error:
        return [Problem("", "error", str(error), "unusable")]
    return []
