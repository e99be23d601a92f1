"""Checks of label maps."""

from __future__ import annotations

from collections.abc import Iterator

from segkit.dataset_check.measured_dataset import MeasuredDataset
from segkit.dataset_check.problem import Problem


def missing_labels(measured: MeasuredDataset) -> Iterator[Problem]:
    """Labels, and an ignore value, that occur in no case."""
    dataset, facts = measured.dataset, measured.cases
    if not any(case.labels for case in facts):
        return
    missing = [f"label {name}" for name in dataset.labels if not any(name in case.labels for case in facts)]
    if dataset.ignore is not None and not any(case.ignored for case in facts):
        missing.append(f"the ignore value {dataset.ignore}")
    for name in missing:
        yield Problem("", "warning", f"{name} occurs in no case that could be read")
