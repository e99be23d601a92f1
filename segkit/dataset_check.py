"""Is a dataset sound? Reads everything and collects problems instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from segkit.dataset import Dataset
from segkit.errors import InputError
from segkit.planning.case_facts import CaseFacts, MeasuredCase, case_warnings, measure_case
from segkit.planning.fingerprint import summarize

Severity = Literal["error", "warning"]

UNUSUAL = 3.0
"""A voxel edge this many times larger or smaller than the median is worth a look."""


@dataclass(frozen=True)
class Problem:
    """``case`` is a case's id, or empty for the dataset as a whole. With an error, training refuses the dataset."""

    case: str
    severity: Severity
    message: str


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
    facts = [case.facts for case in measured]
    return [
        *problems,
        *_as_a_whole(dataset, measured),
        *_missing_labels(dataset, facts),
        *_unusual(facts),
    ]


def _as_a_whole(dataset: Dataset, measured: Sequence[MeasuredCase]) -> list[Problem]:
    if dataset.cases and not measured:
        return []
    try:
        summarize(dataset, measured)
    except InputError as error:
        return [Problem("", "error", str(error))]
    return []


def _missing_labels(dataset: Dataset, facts: Sequence[CaseFacts]) -> list[Problem]:
    if not any(case.labels for case in facts):
        return []
    missing = [f"label {name}" for name in dataset.labels if not any(name in case.labels for case in facts)]
    if dataset.ignore is not None and not any(case.ignored for case in facts):
        missing.append(f"the ignore value {dataset.ignore}")
    return [Problem("", "warning", f"{name} occurs in no case that could be read") for name in missing]


def _unusual(facts: Sequence[CaseFacts]) -> list[Problem]:
    if not facts:
        return []
    median = np.median([case.spacing for case in facts], axis=0)
    problems = []
    for case in facts:
        ratio = np.array(case.spacing) / median
        if ratio.max() > UNUSUAL or ratio.min() < 1 / UNUSUAL:
            edges, usual = (" x ".join(f"{edge:.3g}" for edge in edges) for edges in (case.spacing, median))
            problems.append(Problem(case.id, "warning", f"voxels of {edges} where the median is {usual}"))
    return problems
