"""Distribution of a metric over the cases, with the bootstrap interval of its mean."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.intervals import mean_interval
from segkit.evaluation.metrics import metric_of


@dataclass(frozen=True)
class Distribution:
    """Distribution of the finite values of a metric; None where there are too few of them."""

    values: int
    """Number of cases with a finite value."""
    patients: int
    """Number of patients of these cases; a case without a known patient counts as one."""
    mean: float | None
    low: float | None
    """Lower end of the 95 % interval of the mean; None for fewer than two patients."""
    high: float | None
    median: float | None
    q1: float | None
    """First quartile; the interquartile range goes from q1 to q3."""
    q3: float | None
    minimum: float | None
    maximum: float | None


def distributions(evaluation: Evaluation) -> dict[str, Any]:
    """Return the distribution of every metric over the cases, in JSON types.

    ``labels``  label -> metric -> distribution over the cases
    ``mean``    metric -> distribution of the mean over the labels of each case
    """
    patients = patients_of(evaluation)
    values: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for row in evaluation.rows:
        values[row.label, row.metric][row.case] = row.value
    summary = evaluation.summary

    def measured(metric: str, by_case: Mapping[str, float | None]) -> dict[str, Any]:
        limits = metric_of(metric).limits
        return dataclasses.asdict(distribution(by_case, patients, limits))

    return {
        "labels": {
            label: {metric: measured(metric, values[label, metric]) for metric in summary["mean"]}
            for label in summary["labels"]
        },
        "mean": {
            metric: measured(
                metric, {case: means[metric] for case, means in summary["cases"].items()}
            )
            for metric in summary["mean"]
        },
    }


def patients_of(evaluation: Evaluation) -> dict[str, str]:
    """Return the patient of each case of which it is known."""
    pairs = evaluation.pairs.pairs if evaluation.pairs else ()
    return {pair.case: pair.patient for pair in pairs if pair.patient}


def with_patients(
    evaluation: Evaluation, patients: Mapping[str, str], *, instead: bool = False
) -> Evaluation:
    """Return the evaluation with the patients of its cases.

    Args:
        evaluation: the evaluation.
        patients: patient of each case of which it is known.
        instead: whether they replace those that the dataset names, instead of adding to them.
    """
    if evaluation.pairs is None or not patients:
        return evaluation
    pairs = tuple(
        pair
        if pair.patient and not instead
        else dataclasses.replace(pair, patient=patients.get(pair.case, ""))
        for pair in evaluation.pairs.pairs
    )
    return dataclasses.replace(evaluation, pairs=dataclasses.replace(evaluation.pairs, pairs=pairs))


def distribution(
    values: Mapping[str, float | None],
    patients: Mapping[str, str],
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Distribution:
    """Return the distribution of values over cases.

    Quartiles are interpolated linearly between the two nearest values.

    Args:
        values: value of each case; None and infinite values are left out.
        patients: patient of each case of which it is known.
        limits: lowest and highest possible mean, at which the interval ends.

    >>> found = distribution({"a": 0.5, "b": 0.75, "c": 1.0, "d": math.inf}, {}, (0, 1))
    >>> found.values, found.mean, found.median, found.q1, found.q3
    (3, 0.75, 0.75, 0.625, 0.875)
    """
    finite = {
        case: value for case, value in values.items() if value is not None and math.isfinite(value)
    }
    interval = mean_interval(
        {(case, 0): value for case, value in finite.items()}, limits=limits, patients=patients
    )
    if interval is None:
        return Distribution(0, 0, *[None] * 8)
    low, high = interval.ends or (None, None)
    q1, median, q3 = (float(value) for value in np.percentile(list(finite.values()), (25, 50, 75)))
    return Distribution(
        len(finite),
        interval.cases,
        interval.mean,
        low,
        high,
        median,
        q1,
        q3,
        min(finite.values()),
        max(finite.values()),
    )
