"""Values of two sets of predictions, case by case, and which of the two is better in each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from segkit.evaluation.by_group import MEAN
from segkit.evaluation.measure import LabelResult
from segkit.evaluation.metrics import metric_of
from segkit.evaluation.summary import Results

Change = Literal["better", "worse", "equal", "not compared"]
"""Relation of B to A in one case."""
DIGITS = 6
"""Decimals of differences, relative to the power of ten above the largest value: smaller ones are
errors of rounding, which would break ties and hide equal values."""
ABSOLUTE = "absolute_"
"""Prefix of a metric whose best value is 0 in the middle of its range; its size is compared."""
ABSENT = {side: f"{side} is right not to predict it, and counts as perfect" for side in ("A", "B")}
"""Note on a value of a label that is in neither mask, by the one that has it."""


@dataclass(frozen=True)
class PairedValue:
    """One line of differences.csv."""

    case: str
    label: str
    """Name of the label; MEAN for the mean over the labels of the case."""
    metric: str
    a: float | None
    """Value with A; None if it is undefined, or the label is in neither mask."""
    b: float | None
    difference: float | None
    """B minus A; None if one of them is not finite."""
    change: Change
    note: str = ""
    """Why the two are not compared, or why a label that is in neither mask has a value."""


def paired_values(a: Results, b: Results) -> list[PairedValue]:
    """Return a row for every case of both, every label, and every metric with a value in either.

    With several labels, each case also has rows of MEAN, over the labels that are compared in it.
    A label that neither A, nor B, nor the reference has in a case has no row. If only one of the
    two predicts it, the other one is right, and counts as perfect (`Metric.absent`).

    Args:
        a: case -> label -> result of A.
        b: the same of B.
    """
    cases = [case for case in a if case in b]
    labels = list(dict.fromkeys(name for case in cases for name in (*a[case], *b[case])))
    rows: list[PairedValue] = []
    for case in cases:
        found = [row for name in labels for row in _rows_of_label(case, name, a[case], b[case])]
        rows += found
        if len(labels) > 1:
            rows += _mean_rows(case, found)
    return _with_changes(rows)


def compared_name(metric: str) -> str:
    """Return the name of a metric in a comparison.

    >>> compared_name("dice"), compared_name("volume_difference_ml")
    ('dice', 'absolute_volume_difference_ml')
    """
    return (ABSOLUTE if metric_of(metric).best == "nearest to 0" else "") + metric


def is_higher_better(name: str) -> bool:
    """Return whether a larger value is better, for a name of `compared_name`."""
    return metric_of(name.removeprefix(ABSOLUTE)).best == "highest"


def limits_of_difference(name: str) -> tuple[float, float]:
    """Return the smallest and largest possible difference, for a name of `compared_name`."""
    low, high = metric_of(name.removeprefix(ABSOLUTE)).limits
    return (-math.inf, math.inf) if math.isinf(high - low) else (low - high, high - low)


def rounded(differences: Sequence[float], largest: float) -> list[float]:
    """Return differences of values up to ``largest``, rounded so that equal ones are equal.

    >>> rounded([0.9 - 0.8, 0.8 - 0.7, 1e-9], largest=0.9)
    [0.1, 0.1, 0.0]
    """
    if not largest:
        return list(differences)
    decimals = DIGITS - math.ceil(math.log10(largest))
    return [round(value, decimals) + 0.0 for value in differences]


# -- rows ------------------------------------------------------------------------------------------

NOTHING = LabelResult("neither", {})
"""Result of a label that is in no mask of a case."""


def _rows_of_label(
    case: str, label: str, a: Mapping[str, LabelResult], b: Mapping[str, LabelResult]
) -> Iterator[PairedValue]:
    first, second = a.get(label, NOTHING), b.get(label, NOTHING)
    by_rule = ABSENT["A"] * is_rightly_absent(first, second)
    by_rule += ABSENT["B"] * is_rightly_absent(second, first)
    for metric in dict.fromkeys((*first.metrics, *second.metrics)):
        values = [_value(metric, first, second), _value(metric, second, first)]
        states = [
            _state(value, result) for value, result in zip(values, (first, second), strict=True)
        ]
        row = _row(case, label, compared_name(metric), values, _note(*states))
        yield row if row.note else replace(row, note=by_rule)


def is_rightly_absent(result: LabelResult, of_other: LabelResult) -> bool:
    """Return whether a label is predicted by the other one only, where the reference lacks it."""
    return result.presence == "neither" and of_other.presence == "prediction only"


def _value(metric: str, result: LabelResult, of_other: LabelResult) -> float | None:
    """Return the value of one of the two; of a label that is rightly absent, that of the rule."""
    row, value = metric_of(metric), result.metrics.get(metric)
    if value is None and is_rightly_absent(result, of_other):
        value = row.absent
    return abs(value) if value is not None and row.best == "nearest to 0" else value


def _row(
    case: str, label: str, metric: str, values: Sequence[float | None], note: str
) -> PairedValue:
    first, second = values
    if note or first is None or second is None:
        return PairedValue(case, label, metric, first, second, None, "not compared", note)
    return PairedValue(case, label, metric, first, second, second - first, "equal")


def _state(value: float | None, result: LabelResult) -> str:
    """Return what is wrong with a value, as the beginning of a note; "" if it is finite."""
    if value is None:
        return "label in neither mask of" if result.presence == "neither" else "undefined in"
    return "" if math.isfinite(value) else "infinite in"


def _note(a: str, b: str) -> str:
    """Return why two values are not compared, from their states.

    >>> _note("", "infinite in"), _note("infinite in", "infinite in")
    ('infinite in B', 'infinite in A and B')
    """
    if a == b:
        return f"{a} A and B" if a else ""
    return ", ".join(f"{state} {name}" for state, name in ((a, "A"), (b, "B")) if state)


def _mean_rows(case: str, rows: Sequence[PairedValue]) -> Iterator[PairedValue]:
    """Yield the mean over the labels of a case that are compared, for each metric with some."""
    for metric in dict.fromkeys(row.metric for row in rows):
        found = [row for row in rows if row.metric == metric and row.difference is not None]
        if found:
            values = [
                math.fsum(getattr(row, side) for row in found) / len(found) for side in ("a", "b")
            ]
            yield _row(case, MEAN, metric, values, "")


def _with_changes(rows: Sequence[PairedValue]) -> list[PairedValue]:
    """Return the rows with rounded differences, and whether B is better or worse."""
    largest: dict[str, float] = {}
    for row in rows:
        if row.difference is not None:
            most = max(abs(row.a or 0.0), abs(row.b or 0.0))
            largest[row.metric] = max(largest.get(row.metric, 0.0), most)
    return [_with_change(row, largest.get(row.metric, 0.0)) for row in rows]


def _with_change(row: PairedValue, largest: float) -> PairedValue:
    if row.difference is None:
        return row
    (difference,) = rounded([row.difference], largest)
    change: Change = "equal"
    if difference:
        change = "better" if (difference > 0) is is_higher_better(row.metric) else "worse"
    return replace(row, difference=difference, change=change)
