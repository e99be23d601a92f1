"""Agreement of a model's label maps in bfloat16 with those in float32, as bundle.json records it.

    "bfloat16": {"dice": {"Anterior": 0.9997, "Posterior": 0.9996}, "cases": 3}

It is measured at the end of a training (`segkit.training.outputs.precision_agreement`). An older
bundle may lack it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.errors import InputError
from segkit.plans.plan import Plan

AGREEMENT_KEY = "bfloat16"
"""Key in bundle.json."""


def check_agreement(card: Mapping[str, Any], plan: Plan, where: Path) -> None:
    """Check the agreement in the content of bundle.json, if there is one.

    Args:
        card: content of bundle.json.
        plan: the plan, for the names of the labels.
        where: the file, for messages.

    Raises:
        InputError: anything other than Dice, 0 to 1, of labels of the plan, and a number of cases.
    """
    if AGREEMENT_KEY not in card:
        return
    content = card[AGREEMENT_KEY]
    dice, cases = None, None
    if isinstance(content, dict):
        dice, cases = content.get("dice"), content.get("cases")
    valid = (
        isinstance(dice, dict)
        and dice.keys() <= plan.labels.keys()
        and all(map(_is_dice, dice.values()))
    )
    if not valid or not isinstance(cases, int):
        raise InputError(
            where,
            expected=f"{AGREEMENT_KEY} with the number of cases and the Dice, 0 to 1, of labels of"
            " the plan",
            found=str(content),
            remedy="It was written by a newer segkit, or changed: update segkit, or copy the model"
            " again.",
        )


def smallest_agreement(cards: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the smallest Dice of all labels and all models of an ensemble.

    Return None if the card of one of the models has no agreement.

    >>> smallest_agreement([{"bfloat16": {"dice": {"liver": 0.9999, "spleen": 0.9995}}}])
    0.9995
    >>> smallest_agreement([{"bfloat16": {"dice": {"liver": 0.9999}}}, {}])
    """
    dice = [list(card.get(AGREEMENT_KEY, {}).get("dice", {}).values()) for card in cards]
    return min(min(values) for values in dice) if all(dice) else None


def agreement_text(entry: Mapping[str, Any]) -> str:
    """Return the agreement in words.

    >>> agreement_text({"dice": {"liver": 0.99942}, "cases": 3})
    'agreement of label maps with those in float32, not quality: Dice liver 0.99942, over 3 cases'
    """
    dice = ", ".join(f"{name} {value:.6g}" for name, value in entry["dice"].items())
    return (
        f"agreement of label maps with those in float32, not quality: Dice {dice or 'unknown'}, "
        f"over {entry['cases']} {'case' if entry['cases'] == 1 else 'cases'}"
    )


def joint_agreement(cards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the agreement of an ensemble for its card: for each label the smallest of all models.

    Return an empty dict if the card of one of the models has no agreement.

    >>> worse, better = {"dice": {"liver": 0.9}, "cases": 3}, {"dice": {"liver": 1.0}, "cases": 2}
    >>> joint_agreement([{"bfloat16": worse}, {"bfloat16": better}])
    {'bfloat16': {'dice': {'liver': 0.9}, 'cases': 5}}
    """
    agreements = [card[AGREEMENT_KEY] for card in cards if card.get(AGREEMENT_KEY)]
    if len(agreements) < len(cards):
        return {}
    dice: dict[str, float] = {}
    for agreement in agreements:
        for label, value in agreement["dice"].items():
            dice[label] = min(dice.get(label, value), value)
    cases = sum(agreement["cases"] for agreement in agreements)
    return {AGREEMENT_KEY: {"dice": dice, "cases": cases}}


def _is_dice(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
