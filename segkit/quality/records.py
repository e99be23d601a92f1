"""Expected Dice in the record of a prediction, in JSON types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from segkit.quality.entry import EXPECTED_KEY
from segkit.quality.expected_dice import LabelQuality

FEW_CASES = 10
"""Number of validation cases below which the record says that they are few."""


def label_record(quality: LabelQuality | None) -> dict[str, Any]:
    """Return the figures of one label; none if the Dice of labels was not estimated."""
    if quality is None:
        return {}
    return {"expected_dice": quality.dice, "expected_dice_error": quality.error}


def scan_record(
    labels: Mapping[str, LabelQuality], cards: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """Return the figures of a scan: means over its labels, and what they rest on.

    Errors of labels of one scan go together, so that the error of the mean is their mean.

    Args:
        labels: expected Dice of each label that is written.
        cards: content of bundle.json of each model.

    >>> labels = {"a": LabelQuality(0.75, 0.125), "b": LabelQuality(0.25, 0.375)}
    >>> usual = {"a": {"dice": 0.875}, "b": {"dice": 0.625}}
    >>> cards = [{"expected_dice": {"accuracy": {"cases": 20}, "labels": usual}}]
    >>> scan_record(labels, cards)["expected_dice"]
    {'mean': 0.5, 'error': 0.25, 'usual': 0.75, 'cases': 20, 'note': ''}
    """
    if not labels:
        return {}
    dice = [one.dice for one in labels.values() if one.dice is not None]
    errors = [one.error for one in labels.values() if one.error is not None]
    known = [name for name, one in labels.items() if one.dice is not None]
    usual = [card[EXPECTED_KEY]["labels"][name]["dice"] for card in cards for name in known]
    cases = sum(card[EXPECTED_KEY]["accuracy"]["cases"] for card in cards)
    note = f"fitted to {cases} validation cases only; the errors are widened"
    return {
        "expected_dice": {
            "mean": _mean(dice),
            "error": _mean(errors),
            "usual": _mean(usual),
            "cases": cases,
            "note": note if cases < FEW_CASES else "",
        }
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
