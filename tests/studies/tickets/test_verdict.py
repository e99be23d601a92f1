"""Sentences of the verdict, each as its interval says."""

from __future__ import annotations

from segkit.studies.tickets.curves import PRUNED, read_curves
from segkit.studies.tickets.verdict import answers

from .conftest import MakeRows

KEYS = [(case, seed) for case in ("a", "b", "c") for seed in (0, 1)]
DENSE = dict(zip(KEYS, (0.5, 0.75, 0.5, 0.625, 0.75, 0.75), strict=True))
BOTH = ["group", "batch"]


def less(loss: float) -> dict[tuple[str, int], float]:
    return {key: dice - loss for key, dice in DENSE.items()}


def test_no_training_gives_no_answer(dice_rows: MakeRows) -> None:
    assert answers(read_curves([]), BOTH, ["random"]) == []
    assert answers(read_curves(dice_rows(DENSE)), BOTH, ["random"]) == []


def test_the_smallest_ticket_and_the_control(dice_rows: MakeRows) -> None:
    rows = [
        *dice_rows(DENSE),
        *dice_rows(less(0.005), level=1),
        *dice_rows(less(0.25), level=2),
        *dice_rows(less(0.255), level=2, kind="random"),
        *dice_rows(less(0.25), level=2, kind="reinit"),
    ]
    small, control = answers(read_curves(rows), ["group"], ["random", "reinit"])
    assert small.sentences == (
        "group, dense 0.646: down to 50 % of the weights no level loses more than 0.01 Dice; there "
        "the difference from the dense network is -0.005 to -0.005.",
    )
    assert control.sentences == (
        "group, 25 % of the weights: the ticket is better than random weights of the same layers "
        "by 0.005 to 0.005 (3 cases, 2 seeds).",
        "group, 25 % of the weights: no evidence of a difference between the ticket and the same "
        "mask on new initial weights (0.000 to 0.000; 3 cases, 2 seeds).",
    )


def test_a_ticket_that_loses_too_much_is_not_called_small(dice_rows: MakeRows) -> None:
    rows = [*dice_rows(DENSE), *dice_rows(less(0.125), level=1)]
    (small,) = answers(read_curves(rows), ["group"], [])
    assert small.sentences == (
        "group, dense 0.646: a loss of more than 0.01 Dice cannot be excluded for any ticket; at "
        "50 % of the weights the difference from the dense network is -0.125 to -0.125.",
    )


def test_norms_are_compared_by_what_each_loses(dice_rows: MakeRows) -> None:
    rows = []
    for norm, loss in (("group", 0.0625), ("batch", 0.25)):
        rows += dice_rows(DENSE, norm=norm)
        rows += dice_rows(less(0.125), norm=norm, level=1)
        rows += dice_rows(less(loss), norm=norm, level=1, measure=PRUNED)
    *_, tickets, pruned = answers(read_curves(rows), BOTH, [])
    assert tickets.sentences == (
        "50 % of the weights, by the Dice that is lost: no evidence of a difference between group "
        "and batch (0.000 to 0.000; 3 cases, 2 seeds).",
    )
    assert pruned.question == "Right after pruning one level, before training again?"
    assert pruned.sentences == (
        "50 % of the weights, by the Dice that is lost: group is better than batch by 0.188 to "
        "0.188 (3 cases, 2 seeds).",
        "group loses less Dice (group and batch) at 50 % of the weights.",
    )
