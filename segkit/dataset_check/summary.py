"""Summarize the result of a check: a sentence, and the content of its JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from segkit.dataset_check.check import SEVERITIES, Examined
from segkit.dataset_check.problem import Problem
from segkit.files.report_folder import WORKING_FOLDER


def verdict(problems: Sequence[Problem]) -> str:
    """Return how many problems there are, and whether the dataset can be used.

    >>> verdict([Problem("a", "note", "large"), Problem("b", "error", "NaN")])
    '1 error, 1 note. Fix the errors before training.'
    """
    if not problems:
        return "No problems found."
    numbers = Counter(problem.severity for problem in problems)
    counts = ", ".join(
        f"{numbers[severity]} {severity}{'s' if numbers[severity] > 1 else ''}"
        for severity in SEVERITIES
        if numbers[severity]
    )
    if "error" in numbers:
        return f"{counts}. Fix the errors before training."
    first = "warnings" if "warning" in numbers else "notes"
    return f"{counts}. The dataset can be used for training; look at the {first} first."


def summary(examined: Examined) -> dict[str, Any]:
    """Return the problems and their counts as JSON types."""
    measured = examined.measured
    dataset = measured.dataset
    numbers = Counter(problem.severity for problem in examined.problems)
    return {
        "dataset": dataset.name,
        "path": str(dataset.root),
        WORKING_FOLDER: str(Path.cwd()),
        "cases": len(dataset.cases),
        "measured_cases": len(measured.cases),
        "incomplete_cases": [case.id for case in dataset.incomplete],
        "channels": list(dataset.channels),
        "labels": dataset.labels,
        "counts": {f"{severity}s": numbers[severity] for severity in SEVERITIES},
        "problems": [asdict(problem) for problem in examined.problems],
    }
