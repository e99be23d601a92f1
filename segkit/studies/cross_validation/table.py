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
"""Label -> mean Dice over the cases of each fold, None where none of them has the label."""


def fold_dice(rows: Sequence[Row], folds: Sequence[Sequence[str]]) -> FoldDice:
    """
    >>> rows = [Row("a", "liver", "dice", 0.75), Row("b", "liver", "dice", 0.25), Row("c", "liver", "dice", 1.0)]
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
    """Return Dice of every case that has the label, by label; and under "" each case's mean over its labels.

    >>> case_dice([Row("a", "liver", "dice", 0.5), Row("a", "vessel", "dice", 1.0), Row("b", "liver", "dice", 0.5)])
    {'liver': [0.5, 0.5], 'vessel': [1.0], '': [0.75, 0.5]}
    """
    found: dict[str, list[float]] = {}
    by_case: dict[str, list[float]] = {}
    for row in rows:
        if row.metric == "dice" and row.value is not None and math.isfinite(row.value):
            found.setdefault(row.label, []).append(row.value)
            by_case.setdefault(row.case, []).append(row.value)
    return {**found, "": [fmean(values) for values in by_case.values()]}


def over_folds(dice: FoldDice, cases: Mapping[str, Sequence[float]]) -> dict[str, Any]:
    """Return, in JSON types, Dice of each fold with mean and sd over the folds, and the sd over all cases.

    Per label and for the mean over labels. ``cases`` is what `case_dice` found.

    >>> over_folds({"liver": [0.5, 1.0], "spleen": [0.5, None]}, {})["mean"]["folds"]
    [0.5, 1.0]
    """
    means = [mean(values) for values in zip(*dice.values(), strict=True)]
    labels = {label: _spread(values, cases.get(label, ())) for label, values in dice.items()}
    return {"labels": labels, "mean": _spread(means, cases.get("", ()))}


def _spread(folds: Sequence[float | None], cases: Sequence[float]) -> dict[str, Any]:
    """Standard deviations are those of the sample."""
    there = [value for value in folds if value is not None]
    return {
        "folds": list(folds),
        "mean": fmean(there) if there else None,
        "sd": stdev(there) if len(there) > 1 else None,
        "sd_over_cases": stdev(cases) if len(cases) > 1 else None,
    }


def fold_rows(found: Mapping[str, Any]) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows of the table label x fold from what `over_folds` found; the last row is the mean over labels."""
    header = [
        "label",
        "mean",
        *SPREADS,
        *(f"fold {number}" for number in range(len(found["mean"]["folds"]))),
    ]
    rows = [*found["labels"].items(), ("mean", found["mean"])]
    return header, [
        [label, values["mean"], values["sd"], values.get("sd_over_cases"), *values["folds"]]
        for label, values in rows
    ]


def gain_rows(gains: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows of what keeping the largest piece of a label does, from cross_validation.json."""
    header = ["label", "dice", "largest piece only", "adopted"]
    return header, [
        [label, gain["before"], gain["after"], "yes" if gain["adopted"] else "no"]
        for label, gain in gains.items()
    ]


def in_common(trainings: Sequence[Mapping[str, Any]]) -> str:
    """Say in which precision and layout, and for how many steps, the folds were trained; nothing where unknown.

    >>> in_common([{"precision": "float32", "layout": "contiguous", "steps": 500}] * 2)
    'Every fold: float32, contiguous layout, 500 steps.'
    """
    words = [
        f"{each['precision']}, {each['layout']} layout, {each['steps']} steps" for each in trainings
    ]
    if len(set(words)) == 1:
        return f"Every fold: {words[0]}."
    return "; ".join(f"fold {number}: {each}" for number, each in enumerate(words)) + (
        "." if words else ""
    )
