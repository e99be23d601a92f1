"""Means of an evaluation for each group of cases, such as site or scanner, with intervals."""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from segkit.errors import InputError, first_few
from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.metrics import metric_of
from segkit.evaluation.summary import half_width, mean

MEAN = "mean"
"""Label of the rows about the mean over the labels of a case."""
NONE = "(none)"
"""Group of cases without a group."""


@dataclass(frozen=True)
class GroupMean:
    """Mean of a metric of a label over the cases of a group, with its 95 % interval."""

    group: str
    label: str
    """Name of the label; MEAN for the mean over the labels of each case."""
    metric: str
    cases: int
    """Number of cases with a finite value."""
    mean: float | None
    low: float | None
    """Lower end of the interval; None for fewer than two cases."""
    high: float | None


def by_group(evaluation: Evaluation, groups: Mapping[str, str]) -> Evaluation:
    """Return the evaluation with the means of each group under ``groups`` in its summary.

    Args:
        evaluation: rows and means of all cases.
        groups: group of each case; those without one form the group NONE.

    Raises:
        InputError: no case has a group.
    """
    cases = list(evaluation.summary["cases"])
    if not any(groups.get(case) for case in cases):
        raise InputError(
            "--by group",
            expected="the group of some of the cases",
            found=f"none for {first_few(cases)}",
            remedy="Give --groups FILE, a CSV file with the columns case and group.",
        )
    means = group_means(evaluation, {case: groups.get(case) or NONE for case in cases})
    summary = {**evaluation.summary, "groups": [dataclasses.asdict(row) for row in means]}
    return dataclasses.replace(evaluation, summary=summary)


def group_means(evaluation: Evaluation, groups: Mapping[str, str]) -> list[GroupMean]:
    """Return the mean of every metric of every label in every group, with its interval.

    The interval is that of Student's t over the cases of the group, cut at the ends of the range of
    the metric. Infinite distances are left out, as in all means of an evaluation.

    Args:
        evaluation: rows and means of all cases.
        groups: group of each case.
    """
    values: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for row in evaluation.rows:
        values[groups[row.case], row.label, row.metric].append(row.value)
    for case, means in evaluation.summary["cases"].items():
        for metric, value in means.items():
            if value is not None:
                values[groups[case], MEAN, metric].append(value)
    labels = [*evaluation.summary["labels"], MEAN]
    metrics = list(evaluation.summary["mean"])
    return [
        _group_mean(group, label, metric, values[group, label, metric])
        for group in sorted(set(groups.values()), key=_last)
        for label in labels
        for metric in metrics
    ]


def _last(group: str) -> tuple[bool, str]:
    """Return a key that sorts by name, with NONE at the end."""
    return group == NONE, group


def _group_mean(group: str, label: str, metric: str, values: Iterable[float]) -> GroupMean:
    finite = [value for value in values if math.isfinite(value)]
    middle, half = mean(finite), half_width(finite)
    if middle is None or half is None:
        return GroupMean(group, label, metric, len(finite), middle, None, None)
    low, high = metric_of(metric).limits
    return GroupMean(
        group,
        label,
        metric,
        len(finite),
        middle,
        max(low, middle - half),
        min(high, middle + half),
    )


def rows_of_metric(evaluation: Evaluation, metric: str = "dice") -> Sequence[GroupMean]:
    """Return the means of one metric in each group, as `by_group` has put them in the summary."""
    rows = [GroupMean(**row) for row in evaluation.summary.get("groups", ())]
    return [row for row in rows if row.metric == metric]
