"""Results per case and label -> tidy rows and means. Only finite values enter a mean; the others are counted."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.evaluation.measure import LabelResult

Results = Mapping[str, Mapping[str, LabelResult]]
"""case -> label -> result"""


@dataclass(frozen=True)
class Row:
    """One value of metrics.csv."""

    case: str
    label: str
    metric: str
    value: float


def rows_of(results: Results) -> Iterator[Row]:
    """Every value that exists: none for a label that is in neither mask."""
    for case, labels in results.items():
        for label, result in labels.items():
            for metric, value in result.metrics.items():
                yield Row(case, label, metric, value)


def summarize(results: Results) -> dict[str, Any]:
    """What summary.json holds; everything is plain JSON, a mean of no values is null.

    ``labels``: label -> metric -> mean over cases. ``mean``: metric -> mean over labels of those means.
    ``counts``: label -> in how many cases it is in both masks, in one only, in neither, and how many values of which
    metric were infinite. ``spread``: label -> metric -> n, sd (of the sample), min, max of the finite values.
    ``cases``: case -> metric -> mean over its labels.
    """
    labels = list(dict.fromkeys(label for result in results.values() for label in result))
    metrics = list(dict.fromkeys(row.metric for row in rows_of(results)))
    found: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows_of(results):
        found[row.label, row.metric].append(row.value)
    values = {label: {metric: found[label, metric] for metric in metrics} for label in labels}
    means = {
        label: {metric: mean(numbers) for metric, numbers in by.items()}
        for label, by in values.items()
    }
    return {
        "labels": means,
        "mean": {metric: mean(by[metric] for by in means.values()) for metric in metrics},
        "counts": {label: _counts(results, label, values[label]) for label in labels},
        "spread": {
            label: {metric: _spread(numbers) for metric, numbers in by.items()}
            for label, by in values.items()
        },
        "cases": {case: _case_means(by, metrics) for case, by in results.items()},
    }


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the finite values, None without any."""
    found = _finite(values)
    return math.fsum(found) / len(found) if found else None


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _counts(results: Results, label: str, values: Mapping[str, list[float]]) -> dict[str, Any]:
    places = ["neither" if label not in by else by[label].presence for by in results.values()]
    infinite = {
        metric: sum(math.isinf(value) for value in found) for metric, found in values.items()
    }
    return {
        "both": places.count("both"),
        "reference_only": places.count("reference only"),
        "prediction_only": places.count("prediction only"),
        "neither": places.count("neither"),
        "infinite": {metric: count for metric, count in infinite.items() if count},
    }


def _spread(values: list[float]) -> dict[str, float | int | None]:
    found = _finite(values)
    return {
        "n": len(found),
        "sd": float(np.std(found, ddof=1)) if len(found) > 1 else None,
        "min": min(found, default=None),
        "max": max(found, default=None),
    }


def _case_means(labels: Mapping[str, LabelResult], metrics: list[str]) -> dict[str, float | None]:
    return {
        metric: mean(result.metrics.get(metric) for result in labels.values()) for metric in metrics
    }
