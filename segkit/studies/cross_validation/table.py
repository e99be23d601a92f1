"""Out-of-fold Dice per label and fold, with mean and spread over the folds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from segkit.evaluation.summary import Row, mean
from segkit.report.tables import Cell

SPREADS = ("sd over folds", "sd over cases")
FoldDice = dict[str, list[float | None]]
"""Mean Dice over the cases of each fold, by label; None if no case of a fold has the label."""


def fold_dice(rows: Sequence[Row], folds: Sequence[Sequence[str]]) -> FoldDice:
    """Return the mean Dice of each label in each fold.

    Args:
        rows: metrics of an evaluation.
        folds: ids of the cases that each fold held out.

    >>> values = {"a": 0.75, "b": 0.25, "c": 1.0}
    >>> rows = [Row(case, "liver", "dice", value) for case, value in values.items()]
    >>> fold_dice(rows, [["a", "b"], ["c"]])
    {'liver': [0.5, 1.0]}
    """
    dice = [row for row in rows if row.metric == "dice"]
    return {
        label: [
            mean(row.value for row in dice if row.label == label and row.case in fold)
            for fold in folds
        ]
        for label in dict.fromkeys(row.label for row in dice)
    }


def case_dice(rows: Sequence[Row]) -> dict[str, list[float]]:
    """Return the Dice of all cases that have a label, by label, and the cases' means under "".

    A mean is over the labels of the case.

    >>> rows = [Row("a", "liver", "dice", 0.5), Row("a", "vessel", "dice", 1.0)]
    >>> case_dice([*rows, Row("b", "liver", "dice", 0.5)])
    {'liver': [0.5, 0.5], 'vessel': [1.0], '': [0.75, 0.5]}
    """
    by_label: dict[str, list[float]] = {}
    by_case: dict[str, list[float]] = {}
    for row in rows:
        if row.metric == "dice" and row.value is not None and math.isfinite(row.value):
            by_label.setdefault(row.label, []).append(row.value)
            by_case.setdefault(row.case, []).append(row.value)
    return {**by_label, "": [fmean(values) for values in by_case.values()]}


def over_folds(dice: FoldDice, cases: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return Dice of each fold, mean and standard deviations, in JSON types.

    There is one entry per label, and one for the mean over labels.

    Args:
        dice: Dice by label and fold (`fold_dice`).
        cases: Dice of the cases by label (`case_dice`), for the standard deviation over cases.

    >>> over_folds({"liver": [0.5, 1.0], "spleen": [0.5, None]}, {})["mean"]["folds"]
    [0.5, 1.0]
    """
    means = [mean(values) for values in zip(*dice.values(), strict=True)]
    labels = {label: _spread(values, cases.get(label, ())) for label, values in dice.items()}
    return {"labels": labels, "mean": _spread(means, cases.get("", ()))}


def _spread(folds: Sequence[float | None], cases: Sequence[float]) -> dict[str, Any]:
    """Return the values of the folds with their mean and the sample standard deviations."""
    dice = [value for value in folds if value is not None]
    return {
        "folds": list(folds),
        "mean": fmean(dice) if dice else None,
        "sd": stdev(dice) if len(dice) > 1 else None,
        "sd_over_cases": stdev(cases) if len(cases) > 1 else None,
    }


def fold_rows(result: Mapping[str, Any]) -> tuple[list[str], list[list[Cell]]]:
    """Return header and rows of the table of labels and folds.

    The last row is the mean over labels.

    Args:
        result: the result of `over_folds`.
    """
    fold_count = len(result["mean"]["folds"])
    header = ["label", "mean", *SPREADS, *(f"fold {number}" for number in range(fold_count))]
    rows = [*result["labels"].items(), ("mean", result["mean"])]
    return header, [
        [label, values["mean"], values["sd"], values.get("sd_over_cases"), *values["folds"]]
        for label, values in rows
    ]


def gain_rows(gains: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[Cell]]]:
    """Return header and rows on keeping the largest component, from cross_validation.json."""
    header = ["label", "dice", "largest component only", "adopted"]
    return header, [
        [label, gain["before"], gain["after"], "yes" if gain["adopted"] else "no"]
        for label, gain in gains.items()
    ]


def in_common(trainings: Sequence[Mapping[str, Any]]) -> str:
    """Return a sentence on precision, memory format and steps of the folds; empty if unknown.

    >>> in_common([{"precision": "float32", "layout": "contiguous", "steps": 500}] * 2)
    'Every fold: float32, contiguous memory format, 500 steps.'
    """
    facts = [
        f"{training['precision']}, {training['layout']} memory format, {training['steps']} steps"
        for training in trainings
    ]
    if not facts:
        return ""
    if len(set(facts)) == 1:
        return f"Every fold: {facts[0]}."
    return "; ".join(f"fold {number}: {fact}" for number, fact in enumerate(facts)) + "."
