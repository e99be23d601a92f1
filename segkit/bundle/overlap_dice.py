"""Dice of a model at several overlaps of windows, as bundle.json records it.

    "overlap": {"cases": 3, "same_windows": 1, "dice": {"0.5": {"liver": 0.95}, "0": {...}}}

It is measured at the end of a training (`segkit.training.outputs.overlap_dice`) on validation
cases. ``cases`` is the number of those whose windows differ between the overlaps; the Dice of a
label is the mean over them. ``same_windows`` is the number of those that were left out because they
have the same windows at every overlap. An older bundle may lack all of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segkit.errors import InputError
from segkit.plans.plan import Plan

OVERLAP_KEY = "overlap"
"""Key in bundle.json."""
USUAL_OVERLAP = 0.5
"""Overlap that the others are compared with, and that is taken where nothing is known."""
MAX_COST = 0.001
"""Largest loss of mean Dice, against `USUAL_OVERLAP`, at which a smaller overlap is taken."""


def check_overlap_dice(card: Mapping[str, Any], plan: Plan, where: Path) -> None:
    """Check the Dice by overlap in the content of bundle.json, if there is one.

    Args:
        card: content of bundle.json.
        plan: the plan, for the names of the labels.
        where: the file, for messages.

    Raises:
        InputError: anything other than numbers of cases and, for each overlap, the Dice, 0 to 1, of
            labels of the plan.
    """
    if OVERLAP_KEY in card and not _is_valid(card[OVERLAP_KEY], plan):
        raise InputError(
            where,
            expected=f"{OVERLAP_KEY} with numbers of cases and, for overlaps from 0 to below 1 "
            f"that include {_key(USUAL_OVERLAP)}, the Dice, 0 to 1, of labels of the plan",
            found=str(card[OVERLAP_KEY]),
            remedy="It was written by a newer segkit, or changed: update segkit, or copy the model"
            " again.",
        )


def overlap_entry(
    dice: Mapping[float, Mapping[str, float]], cases: int, same_windows: int
) -> dict[str, Any]:
    """Return the entry of bundle.json.

    Args:
        dice: mean Dice by label, for each overlap.
        cases: number of cases that were measured.
        same_windows: number of cases that have the same windows at every overlap.

    >>> overlap_entry({0.5: {"liver": 0.95}, 0.0: {"liver": 0.94}}, 3, 1)["overlap"]["dice"]
    {'0.5': {'liver': 0.95}, '0': {'liver': 0.94}}
    """
    by_overlap = {
        _key(overlap): {label: round(value, 6) for label, value in labels.items()}
        for overlap, labels in dice.items()
    }
    return {OVERLAP_KEY: {"cases": cases, "same_windows": same_windows, "dice": by_overlap}}


def joint_overlap_dice(cards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the entry of an ensemble: means over the models, weighted by their numbers of cases.

    Return an empty dict if the card of one of the models has no entry.

    >>> one = {"overlap": {"cases": 1, "same_windows": 0, "dice": {"0.5": {"liver": 0.9}}}}
    >>> two = {"overlap": {"cases": 3, "same_windows": 2, "dice": {"0.5": {"liver": 0.7}}}}
    >>> joint_overlap_dice([one, two])["overlap"]
    {'cases': 4, 'same_windows': 2, 'dice': {'0.5': {'liver': 0.75}}}
    """
    entries = [card[OVERLAP_KEY] for card in cards if card.get(OVERLAP_KEY)]
    if not entries or len(entries) < len(cards):
        return {}
    measured = [entry for entry in entries if entry["cases"]]
    overlaps = list(measured[0]["dice"]) if measured else []
    in_all = [key for key in overlaps if all(key in entry["dice"] for entry in measured)]
    dice = {float(key): _mean_over_models(measured, key) for key in in_all}
    cases, same = (sum(entry[key] for entry in entries) for key in ("cases", "same_windows"))
    return overlap_entry(dice, cases, same)


def _mean_over_models(entries: Sequence[Mapping[str, Any]], overlap: str) -> dict[str, float]:
    """Return the mean Dice of each label over the models that have it, weighted by their cases."""
    labels = dict.fromkeys(label for entry in entries for label in entry["dice"][overlap])
    means = {}
    for label in labels:
        having = [entry for entry in entries if label in entry["dice"][overlap]]
        values = [entry["dice"][overlap][label] for entry in having]
        means[label] = float(np.average(values, weights=[entry["cases"] for entry in having]))
    return means


def choose_overlap(cards: Sequence[Mapping[str, Any]]) -> tuple[float, str]:
    """Return the smallest overlap that costs at most `MAX_COST` of mean Dice, and why, in words.

    It is `USUAL_OVERLAP` where nothing is known. The mean is over the labels that were measured at
    every overlap.

    Args:
        cards: content of bundle.json of each model of an ensemble.

    >>> dice = {"0.5": {"liver": 0.95}, "0.25": {"liver": 0.9496}, "0": {"liver": 0.94}}
    >>> choose_overlap([{"overlap": {"cases": 3, "same_windows": 0, "dice": dice}}])[0]
    0.25
    """
    entry = joint_overlap_dice(cards).get(OVERLAP_KEY)
    costs = overlap_costs(entry) if entry else {}
    if entry is None or not costs:
        return USUAL_OVERLAP, _why_unknown(entry, len(cards))
    accepted = [overlap for overlap, cost in costs.items() if cost <= MAX_COST]
    changes = ", ".join(_change(overlap, cost) for overlap, cost in costs.items())
    cases = "1 validation case" if entry["cases"] == 1 else f"{entry['cases']} validation cases"
    reason = (
        f"compared with overlap {USUAL_OVERLAP:g} on {cases}, {changes}; a loss of at most "
        f"{MAX_COST:g} is accepted"
    )
    return min(accepted, default=USUAL_OVERLAP), reason


def _why_unknown(entry: Mapping[str, Any] | None, models: int) -> str:
    """Return in words why there is nothing to choose by.

    Args:
        entry: the entry of all models together, if all of them have one.
        models: number of the models.
    """
    if entry is None:
        which = "the training" if models == 1 else "the training of one of the models"
        return f"{which} has not measured Dice at other overlaps"
    if entry["cases"]:
        return "no label of the validation cases has a Dice at every overlap"
    count = entry["same_windows"]
    scans = "the validation scan" if count == 1 else f"each of the {count} validation scans"
    return f"{scans} has the same windows at every overlap, so that there was nothing to compare"


def _change(overlap: float, cost: float) -> str:
    """Return what an overlap changes, in words.

    >>> _change(0.25, 0.0004), _change(0.0, -0.0012), _change(0.0, 0.0)
    ('overlap 0.25 loses 0.0004 of Dice', 'overlap 0 gains 0.0012 of Dice', \
'overlap 0 changes nothing')
    """
    size = f"{abs(cost):.4f}" if abs(cost) >= 0.00005 else "less than 0.0001"
    verb = f"{'loses' if cost > 0 else 'gains'} {size} of Dice" if cost else "changes nothing"
    return f"overlap {overlap:g} {verb}"


def overlap_costs(entry: Mapping[str, Any]) -> dict[float, float]:
    """Return the loss of mean Dice of each overlap below `USUAL_OVERLAP`, largest overlap first.

    A gain is negative. The result is empty if no case was measured, or no label.

    Args:
        entry: the entry of bundle.json.
    """
    dice: Mapping[str, Mapping[str, float]] = entry["dice"]
    if not dice:
        return {}
    usual = dice[_key(USUAL_OVERLAP)]
    labels = [label for label in usual if all(label in values for values in dice.values())]
    if not labels:
        return {}
    costs = {
        float(key): float(np.mean([usual[label] - values[label] for label in labels]))
        for key, values in dice.items()
    }
    return {
        overlap: round(costs[overlap], 6)
        for overlap in sorted(costs, reverse=True)
        if overlap < USUAL_OVERLAP
    }


def _key(overlap: float) -> str:
    return f"{overlap:g}"


def _is_valid(entry: Any, plan: Plan) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("dice"), dict):
        return False
    counts = [entry.get(key) for key in ("cases", "same_windows")]
    return (
        all(isinstance(count, int) and count >= 0 for count in counts)
        and bool(counts[0]) == bool(entry["dice"])
        and (not entry["dice"] or _key(USUAL_OVERLAP) in entry["dice"])
        and all(map(_is_overlap, entry["dice"]))
        and all(_are_dice(values, plan) for values in entry["dice"].values())
    )


def _is_overlap(key: str) -> bool:
    try:
        return 0 <= float(key) < 1
    except ValueError:
        return False


def _are_dice(values: Any, plan: Plan) -> bool:
    return (
        isinstance(values, dict)
        and values.keys() <= plan.labels.keys()
        and all(
            isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
            for value in values.values()
        )
    )
