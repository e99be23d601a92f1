"""Out-of-fold Dice per label and fold, with mean and spread over the folds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from segkit.evaluation.summary import Row, mean
from segkit.report.tables import Cell

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
        label: [mean(row.value for row in dice if row.label == label and row.case in fold) for fold in folds]
        for label in dict.fromkeys(row.label for row in dice)
    }


def over_folds(dice: FoldDice) -> dict[str, Any]:
    """In JSON types, per label and for the mean over labels: Dice of each fold, and their mean and spread.

    >>> over_folds({"liver": [0.5, 1.0], "spleen": [0.5, None]})["mean"]["folds"]
    [0.5, 1.0]
    """
    means = [mean(values) for values in zip(*dice.values(), strict=True)]
    return {"labels": {label: _spread(values) for label, values in dice.items()}, "mean": _spread(means)}


def _spread(values: Sequence[float | None]) -> dict[str, Any]:
    """With the standard deviation of the sample."""
    there = [value for value in values if value is not None]
    return {
        "folds": list(values),
        "mean": fmean(there) if there else None,
        "sd": stdev(there) if len(there) > 1 else None,
    }


def fold_rows(found: Mapping[str, Any]) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows of the table label x fold from what `over_folds` found; the last row is the mean over labels."""
    header = ["label", "mean", "sd", *(f"fold {number}" for number in range(len(found["mean"]["folds"])))]
    rows = [*found["labels"].items(), ("mean", found["mean"])]
    return header, [[label, values["mean"], values["sd"], *values["folds"]] for label, values in rows]


def gain_rows(gains: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[Cell]]]:
    """Header and rows of what keeping the largest piece of a label does, from cross_validation.json."""
    header = ["label", "dice", "largest piece only", "adopted"]
    return header, [
        [label, gain["before"], gain["after"], "yes" if gain["adopted"] else "no"] for label, gain in gains.items()
    ]
