"""Agreement of predicted and reference volumes: bias and limits of agreement."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from segkit.evaluation.distribution import patients_of
from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.intervals import mean_interval

WIDTH = 1.96
"""Number of standard deviations from the bias to a limit: 95 % of a normal distribution."""


@dataclass(frozen=True)
class Agreement:
    """Differences of predicted and reference volumes of a label, in ml or px.

    The limits of agreement are the bias plus and minus 1.96 standard deviations of the differences
    (Bland and Altman, Lancet 327:307, 1986).
    """

    cases: int
    """Number of cases in which the label occurs in at least one of the masks."""
    bias: float
    """Mean of prediction minus reference."""
    bias_low: float | None
    """Lower end of the 95 % interval of the bias; None for fewer than two patients."""
    bias_high: float | None
    lower_limit: float | None
    """Lower limit of agreement; None for a single case."""
    upper_limit: float | None


def agreements(evaluation: Evaluation) -> dict[str, dict[str, Any]]:
    """Return the agreement of the volumes of each label that occurs, in JSON types.

    There is none if some volumes are in ml and others in px, which have no common scale.
    """
    if len(evaluation.summary.get("unit", ())) > 1:
        return {}
    patients = patients_of(evaluation)
    by_label: dict[str, dict[str, tuple[float, float]]] = {}
    for (case, label), volumes in evaluation.volumes.items():
        by_label.setdefault(label, {})[case] = volumes
    return {
        label: dataclasses.asdict(agreement(by_label[label], patients))
        for label in evaluation.summary["labels"]
        if label in by_label
    }


def agreement(volumes: Mapping[str, tuple[float, float]], patients: Mapping[str, str]) -> Agreement:
    """Return the agreement of volumes of a label.

    Args:
        volumes: volumes of prediction and reference of each case; there is at least one.
        patients: patient of each case of which it is known.

    >>> found = agreement({"a": (3.0, 2.0), "b": (2.0, 3.0)}, {})
    >>> found.bias, round(found.upper_limit, 3)  # 1.96 times the square root of 2
    (0.0, 2.772)
    """
    differences = {case: predicted - reference for case, (predicted, reference) in volumes.items()}
    numbers = np.array(list(differences.values()))
    interval = mean_interval(
        {(case, 0): value for case, value in differences.items()}, patients=patients
    )
    low, high = (interval.ends if interval else None) or (None, None)
    bias = float(numbers.mean())
    if len(numbers) == 1:
        return Agreement(1, bias, low, high, None, None)
    half = WIDTH * float(numbers.std(ddof=1))
    return Agreement(len(numbers), bias, low, high, bias - half, bias + half)
