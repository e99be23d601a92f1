"""What bundle.json says of bfloat16: how well a model's label maps agree with those that it computes in float32.

    "bfloat16": {"dice": {"Anterior": 0.9997, "Posterior": 0.9996}, "cases": 3}

It is measured at the end of a training (`segkit.training.outputs.precision_agreement`). An older bundle may lack it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from segkit.errors import InputError
from segkit.plans.plan import Plan

AGREEMENT = "bfloat16"
"""Its name in bundle.json."""


def check_agreement(card: Mapping[str, Any], plan: Plan, where: Path) -> None:
    """
    Raises:
        InputError: an agreement that is not Dice, from 0 to 1, of labels that the plan has.
    """
    if AGREEMENT not in card:
        return
    found = card[AGREEMENT]
    dice, cases = (
        (found.get("dice"), found.get("cases")) if isinstance(found, dict) else (None, None)
    )
    known = (
        isinstance(dice, dict)
        and dice.keys() <= plan.labels.keys()
        and all(map(_is_dice, dice.values()))
    )
    if not known or not isinstance(cases, int):
        raise InputError(
            where,
            expected=f"{AGREEMENT} with the number of cases and the Dice, 0 to 1, of labels of the plan",
            found=str(found),
            remedy="It was written by a newer segkit, or changed: update segkit, or copy the model again.",
        )


def smallest_agreement(cards: Sequence[Mapping[str, Any]]) -> float | None:
    """The Dice of the label that agrees worst, over all models of an ensemble; None where one does not know.

    >>> smallest_agreement([{"bfloat16": {"dice": {"liver": 0.9999, "spleen": 0.9995}}}])
    0.9995
    >>> smallest_agreement([{"bfloat16": {"dice": {"liver": 0.9999}}}, {}])
    """
    known = [list(card.get(AGREEMENT, {}).get("dice", {}).values()) for card in cards]
    return min(min(values) for values in known) if all(known) else None


def joint_agreement(cards: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The part of an ensemble's card: of every label the worst of all models; empty where one does not know.

    >>> worse, better = {"dice": {"liver": 0.9}, "cases": 3}, {"dice": {"liver": 1.0}, "cases": 2}
    >>> joint_agreement([{"bfloat16": worse}, {"bfloat16": better}])
    {'bfloat16': {'dice': {'liver': 0.9}, 'cases': 5}}
    """
    known = [card[AGREEMENT] for card in cards if card.get(AGREEMENT)]
    if len(known) < len(cards):
        return {}
    names = {name: None for each in known for name in each["dice"]}
    dice = {
        name: min(each["dice"][name] for each in known if name in each["dice"]) for name in names
    }
    return {AGREEMENT: {"dice": dice, "cases": sum(each["cases"] for each in known)}}


def _is_dice(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1
