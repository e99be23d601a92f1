"""Rows and means over cases and labels; infinite values are counted and excluded from means."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import stdtrit

from segkit.evaluation.measure import LabelResult

Results = Mapping[str, Mapping[str, LabelResult]]
"""Case -> label -> result."""
CONFIDENCE = 0.95
"""Level of confidence intervals."""


@dataclass(frozen=True)
class Row:
    """One line of metrics.csv."""

    case: str
    label: str
    metric: str
    value: float


def rows_of(results: Results) -> Iterator[Row]:
    """Yield a row for every value; a label in neither mask has none."""
    for case, labels in results.items():
        for label, result in labels.items():
            for metric, value in result.metrics.items():
                yield Row(case, label, metric, value)


def summarize(results: Results, metrics: Iterable[str] = ()) -> dict[str, Any]:
    """Return the content of summary.json in JSON types, with null for a mean without values.

    Args:
        results: results of each case.
        metrics: names of metrics to list even if none of them has a value.

    ``labels``  label -> metric -> mean over cases
    ``mean``    metric -> mean over labels of these means
    ``counts``  label -> number of cases with the label in both masks, in one only and in neither,
                and for each metric the number of infinite values and of cases in which the label
                occurs and the metric has no value
    ``spread``  label -> metric -> n, sd (of the sample), min and max of the finite values
    ``cases``   case -> metric -> mean over its labels
    """
    labels = list(dict.fromkeys(label for result in results.values() for label in result))
    metrics = list(dict.fromkeys([*metrics, *(row.metric for row in rows_of(results))]))
    over_cases: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in rows_of(results):
        over_cases[row.label, row.metric].append(row.value)
    values = {label: {metric: over_cases[label, metric] for metric in metrics} for label in labels}
    means = {
        label: {metric: mean(numbers) for metric, numbers in by_metric.items()}
        for label, by_metric in values.items()
    }
    return {
        "labels": means,
        "mean": {
            metric: mean(by_metric[metric] for by_metric in means.values()) for metric in metrics
        },
        "counts": {label: _counts(results, label, values[label]) for label in labels},
        "spread": {
            label: {metric: _spread(numbers) for metric, numbers in by_metric.items()}
            for label, by_metric in values.items()
        },
        "cases": {case: _case_means(by_label, metrics) for case, by_label in results.items()},
    }


def mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the finite values, or None if there are none.

    >>> mean([1.0, 2.0, None, math.inf])
    1.5
    """
    finite = _finite(values)
    return math.fsum(finite) / len(finite) if finite else None


def half_width(values: Sequence[float]) -> float | None:
    """Return half the width of the 95 % confidence interval of a mean: t s / sqrt(n).

    Here t is the quantile of Student's distribution, because a fold has few cases: for 5 cases it
    is 2.78 instead of 1.96. The result is None for fewer than two values.

    >>> round(half_width([0.8, 0.9, 1.0]), 4)
    0.2484
    """
    if len(values) < 2:
        return None
    quantile = float(stdtrit(len(values) - 1, (1 + CONFIDENCE) / 2))
    return quantile * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def _finite(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None and math.isfinite(value)]


def _counts(results: Results, label: str, values: Mapping[str, list[float]]) -> dict[str, Any]:
    presence = [
        by_label[label].presence if label in by_label else "neither"
        for by_label in results.values()
    ]
    infinite = {
        metric: sum(math.isinf(value) for value in numbers) for metric, numbers in values.items()
    }
    undefined = Counter(
        metric
        for by_label in results.values()
        if label in by_label
        for metric in by_label[label].undefined
    )
    return {
        "both": presence.count("both"),
        "reference_only": presence.count("reference only"),
        "prediction_only": presence.count("prediction only"),
        "neither": presence.count("neither"),
        "infinite": {metric: count for metric, count in infinite.items() if count},
        "undefined": dict(undefined),
    }


def _spread(values: list[float]) -> dict[str, float | int | None]:
    finite = _finite(values)
    return {
        "n": len(finite),
        "sd": float(np.std(finite, ddof=1)) if len(finite) > 1 else None,
        "min": min(finite, default=None),
        "max": max(finite, default=None),
    }


def _case_means(labels: Mapping[str, LabelResult], metrics: list[str]) -> dict[str, float | None]:
    return {
        metric: mean(result.metrics.get(metric) for result in labels.values()) for metric in metrics
    }
