"""Temperatures that make probabilities as sure as they are right, as bundle.json records them.

    "calibration": {"cases": 20, "temperatures": {"liver": 1.41, "tumor": 1.41},
                    "ece": {"liver": {"before": 0.021, "after": 0.008}, ...}}

Scores are divided by the temperature before the softmax, or the sigmoid of regions (Guo et al.
2017, arXiv 1706.04599). Labels that exclude each other have one temperature, because different ones
would change which label is the most probable; overlapping regions have one each, which moves no
probability across 1/2. Neither changes a label map. They are fitted at the end of a training
(`segkit.training.outputs.temperature`). An older bundle lacks them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import InputError
from segkit.plans.plan import Plan
from segkit.units import is_number, is_whole

CALIBRATION_KEY = "calibration"
"""Key in bundle.json."""
DIGITS = 4
"""Decimals of the numbers that are kept."""


def calibration_entry(
    cases: int,
    temperatures: Mapping[str, float],
    before: Mapping[str, float],
    after: Mapping[str, float],
) -> dict[str, Any]:
    """Return the entry of bundle.json.

    Args:
        cases: number of validation cases.
        temperatures: temperature of each label.
        before: expected calibration error of each label that a case has, without temperature.
        after: the same with temperatures that were fitted to other cases.
    """
    ece = {
        name: {"before": round(before[name], DIGITS), "after": round(after[name], DIGITS)}
        for name in before
    }
    rounded = {name: round(value, DIGITS) for name, value in temperatures.items()}
    return {CALIBRATION_KEY: {"cases": cases, "temperatures": rounded, "ece": ece}}


def joint_calibration(cards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the entry of an ensemble: geometric means of temperatures, means of errors.

    Models are weighted by their numbers of cases. Return an empty dict if one of them has none.

    >>> ece = {"a": {"before": 0.25, "after": 0.125}}
    >>> one = {"calibration": {"cases": 1, "temperatures": {"a": 1.0}, "ece": ece}}
    >>> four = {"calibration": {"cases": 1, "temperatures": {"a": 4.0}, "ece": ece}}
    >>> joint_calibration([one, four])["calibration"]["temperatures"]
    {'a': 2.0}
    """
    entries = [card[CALIBRATION_KEY] for card in cards if CALIBRATION_KEY in card]
    if not entries or len(entries) < len(cards):
        return {}
    weights = [entry["cases"] for entry in entries]
    temperatures = {}
    for name in entries[0]["temperatures"]:
        logs = [math.log(entry["temperatures"][name]) for entry in entries]
        temperatures[name] = math.exp(float(np.average(logs, weights=weights)))
    errors = {key: _mean_errors(entries, key) for key in ("before", "after")}
    return calibration_entry(sum(weights), temperatures, errors["before"], errors["after"])


def _mean_errors(entries: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    means = {}
    for name in dict.fromkeys(label for entry in entries for label in entry["ece"]):
        having = [entry for entry in entries if name in entry["ece"]]
        values = [entry["ece"][name][key] for entry in having]
        means[name] = float(np.average(values, weights=[entry["cases"] for entry in having]))
    return means


def temperatures_of(cards: Sequence[Mapping[str, Any]], plan: Plan) -> tuple[float, ...] | None:
    """Return the temperature of each output of an ensemble; None if one of its models has none.

    Args:
        cards: content of bundle.json of each model.
        plan: the plan of the ensemble.
    """
    entry = joint_calibration(cards).get(CALIBRATION_KEY)
    if entry is None:
        return None
    labels = [float(entry["temperatures"][name]) for name in plan.labels]
    return tuple(labels if plan.regions else [labels[0], *labels])


def check_calibration(card: Mapping[str, Any], plan: Plan, where: Path) -> None:
    """Check the temperatures in the content of bundle.json, if there are any.

    Args:
        card: content of bundle.json.
        plan: the plan, for the labels.
        where: the file, for messages.

    Raises:
        InputError: not a number above 0 for each label of the plan, the same one for labels that
            exclude each other; or other errors than numbers.
    """
    if CALIBRATION_KEY in card and not _is_valid(card[CALIBRATION_KEY], plan):
        raise InputError(
            where,
            expected=f"{CALIBRATION_KEY} with a number of cases, a temperature above 0 for each "
            "label of the plan (the same one unless labels overlap) and calibration errors",
            found=str(card[CALIBRATION_KEY])[:200],
            remedy="It was written by a newer segkit, or changed: update segkit, or copy the model"
            " again.",
        )


def _is_valid(entry: Any, plan: Plan) -> bool:
    if not isinstance(entry, dict) or not is_whole(entry.get("cases"), 1):
        return False
    temperatures, ece = entry.get("temperatures"), entry.get("ece")
    return (
        isinstance(temperatures, dict)
        and temperatures.keys() == plan.labels.keys()
        and all(is_number(value) and value > 0 for value in temperatures.values())
        and (bool(plan.regions) or len(set(temperatures.values())) == 1)
        and isinstance(ece, dict)
        and ece.keys() <= plan.labels.keys()
        and all(map(_is_before_and_after, ece.values()))
    )


def _is_before_and_after(value: Any) -> bool:
    return isinstance(value, dict) and all(is_number(value.get(key)) for key in ("before", "after"))
