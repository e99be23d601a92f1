"""Means of an evaluation for each group of cases, such as site or scanner, with intervals."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from segkit.errors import InputError, UsageError, first_few
from segkit.evaluation.distribution import distribution, patients_of
from segkit.evaluation.evaluate import Evaluation
from segkit.evaluation.metrics import metric_of

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
    patients: int
    """Number of patients of these cases; a case without a known patient counts as one."""
    mean: float | None
    low: float | None
    """Lower end of the interval; None for fewer than two patients."""
    high: float | None


def by_group(
    evaluation: Evaluation, groups: Mapping[str, str], patients: Mapping[str, str] | None = None
) -> Evaluation:
    """Return the evaluation with the means of each group under ``groups`` in its summary.

    Args:
        evaluation: rows and means of all cases.
        groups: group of each case; those without one form the group NONE.
        patients: patient of each case, as far as the dataset of the evaluation does not name it.

    Raises:
        InputError: no case has a group.
        UsageError: a label has the name of the mean over the labels.
    """
    check_label_names(evaluation.summary["labels"])
    cases = list(evaluation.summary["cases"])
    if not any(groups.get(case) for case in cases):
        raise InputError(
            "--by group",
            expected="the group of some of the cases",
            found=f"none for {first_few(cases)}",
            remedy="Give --groups FILE, a CSV file with the columns case and group.",
        )
    known = {**(patients or {}), **patients_of(evaluation)}
    means = group_means(evaluation, {case: groups.get(case) or NONE for case in cases}, known)
    summary = {**evaluation.summary, "groups": [dataclasses.asdict(row) for row in means]}
    return dataclasses.replace(evaluation, summary=summary)


def check_label_names(labels: Iterable[str]) -> None:
    """Check that no label has the name of the mean over the labels.

    Raises:
        UsageError: one has.
    """
    if MEAN in labels:
        raise UsageError(
            f"a label is called {MEAN!r}, which means the mean over the labels here. Give it"
            " another name with --labels NAME=VALUE,..."
        )


def group_means(
    evaluation: Evaluation, groups: Mapping[str, str], patients: Mapping[str, str]
) -> list[GroupMean]:
    """Return the mean of every metric of every label in every group, with its interval.

    The interval is that of `segkit.evaluation.intervals` over the patients of the group, cut at the
    ends of the range of the metric. Infinite distances are left out, as in all means of an
    evaluation.

    Args:
        evaluation: rows and means of all cases.
        groups: group of each case.
        patients: patient of each case of which it is known.
    """
    values: dict[tuple[str, str, str], dict[str, float | None]] = defaultdict(dict)
    for row in evaluation.rows:
        values[groups[row.case], row.label, row.metric][row.case] = row.value
    for case, means in evaluation.summary["cases"].items():
        for metric, value in means.items():
            values[groups[case], MEAN, metric][case] = value
    labels = [*evaluation.summary["labels"], MEAN]
    metrics = list(evaluation.summary["mean"])
    return [
        _group_mean(group, label, metric, values[group, label, metric], patients)
        for group in sorted(set(groups.values()), key=_last)
        for label in labels
        for metric in metrics
    ]


def _last(group: str) -> tuple[bool, str]:
    """Return a key that sorts by name, with NONE at the end."""
    return group == NONE, group


def _group_mean(
    group: str,
    label: str,
    metric: str,
    values: Mapping[str, float | None],
    patients: Mapping[str, str],
) -> GroupMean:
    found = distribution(values, patients, metric_of(metric).limits)
    ends = found.mean, found.low, found.high
    return GroupMean(group, label, metric, found.values, found.patients, *ends)


def rows_of_metric(evaluation: Evaluation, metric: str = "dice") -> Sequence[GroupMean]:
    """Return the means of one metric in each group, as `by_group` has put them in the summary."""
    rows = [GroupMean(**row) for row in evaluation.summary.get("groups", ())]
    return [row for row in rows if row.metric == metric]
