"""The expected Dice in bundle.json: plain numbers, checked when they are read.

    "expected_dice": {"features": [...], "weights": [...], "curve": [[score, share], ...],
                      "labels": {"liver": {"dice": 0.95, "features": [...]}, ...},
                      "errors": [[expected, error], ...], "accuracy": {...}}

It is fitted at the end of a training (`segkit.training.outputs.quality`). An older bundle, or
one with few validation cases, lacks it.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.errors import InputError
from segkit.plans.plan import Plan
from segkit.quality.expected_dice import ExpectedDice, Typical
from segkit.quality.features import NAMES
from segkit.units import is_number, is_whole

EXPECTED_KEY = "expected_dice"
"""Key in bundle.json."""
DIGITS = 6
"""Decimals of the numbers that are kept."""


def expected_dice_entry(estimator: ExpectedDice, accuracy: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entry of bundle.json."""
    labels = {
        name: {"dice": round(typical.dice, DIGITS), "features": _rounded(typical.features)}
        for name, typical in estimator.labels.items()
    }
    return {
        EXPECTED_KEY: {
            "features": list(NAMES),
            "weights": _rounded(estimator.weights),
            "curve": [_rounded(point) for point in estimator.curve],
            "labels": labels,
            "errors": [_rounded(point) for point in estimator.errors],
            "accuracy": dict(accuracy),
        }
    }


def _rounded(numbers: Sequence[float]) -> list[float]:
    return [round(number, DIGITS) for number in numbers]


def estimators_of(cards: Sequence[Mapping[str, Any]]) -> list[ExpectedDice]:
    """Return the estimators of all models of an ensemble; none if one of them has none.

    Args:
        cards: content of bundle.json of each model, checked by `check_expected_dice`.
    """
    entries = [card[EXPECTED_KEY] for card in cards if EXPECTED_KEY in card]
    return [_estimator(entry) for entry in entries] if len(entries) == len(cards) else []


def _estimator(entry: Mapping[str, Any]) -> ExpectedDice:
    return ExpectedDice(
        weights=tuple(entry["weights"]),
        curve=tuple((score, share) for score, share in entry["curve"]),
        labels={
            name: Typical(usual["dice"], tuple(usual["features"]))
            for name, usual in entry["labels"].items()
        },
        errors=tuple((dice, error) for dice, error in entry["errors"]),
    )


def check_expected_dice(card: Mapping[str, Any], plan: Plan, where: Path) -> None:
    """Check the expected Dice in the content of bundle.json, if there is one.

    Args:
        card: content of bundle.json.
        plan: the plan, for the names of the labels.
        where: the file, for messages.

    Raises:
        InputError: other features, or anything other than finite numbers in the places where the
            estimator needs them, for labels of the plan.
    """
    if EXPECTED_KEY in card and not _is_valid(card[EXPECTED_KEY], plan):
        raise InputError(
            where,
            expected=f"{EXPECTED_KEY} with weights of the features {', '.join(NAMES)}, a rising "
            "curve, errors, what is typical of labels of the plan, and its accuracy",
            found=str(card[EXPECTED_KEY])[:200],
            remedy="It was written by a newer segkit, or changed: update segkit, or copy the model"
            " again.",
        )


def _is_valid(entry: Any, plan: Plan) -> bool:
    if not isinstance(entry, dict) or entry.get("features") != list(NAMES):
        return False
    labels = entry.get("labels")
    return (
        _are_numbers(entry.get("weights"), len(NAMES))
        and min(entry["weights"]) >= 0
        and _are_points(entry.get("curve"))
        and _is_rising([share for _, share in entry["curve"]])
        and _are_points(entry.get("errors"))
        and isinstance(labels, dict)
        and labels.keys() <= plan.labels.keys()
        and all(map(_is_typical, labels.values()))
        and _is_accuracy(entry.get("accuracy"))
    )


def _is_accuracy(accuracy: Any) -> bool:
    """Return whether there are the figures that are shown in words."""
    if not isinstance(accuracy, dict) or not is_whole(accuracy.get("cases"), 1):
        return False
    known, with_copies = accuracy.get("as_they_are"), accuracy.get("with_degraded")
    return (
        isinstance(known, dict)
        and isinstance(with_copies, dict)
        and is_number(known.get("error"))
        and is_number(known.get("error_of_mean"))
        and is_number(with_copies.get("error"))
    )


def _are_points(points: Any) -> bool:
    """Return whether there are points whose first numbers rise."""
    return (
        isinstance(points, list)
        and bool(points)
        and all(_are_numbers(point, 2) for point in points)
        and _is_rising([first for first, _ in points])
    )


def _is_rising(numbers: Sequence[float]) -> bool:
    return all(one <= other for one, other in itertools.pairwise(numbers))


def _is_typical(label: Any) -> bool:
    return (
        isinstance(label, dict)
        and is_number(label.get("dice"))
        and 0 <= label["dice"] <= 1
        and _are_numbers(label.get("features"), len(NAMES))
    )


def _are_numbers(numbers: Any, count: int) -> bool:
    return isinstance(numbers, list) and len(numbers) == count and all(map(is_number, numbers))
