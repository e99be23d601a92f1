"""Sentences of the verdict, each as its interval says."""

from __future__ import annotations

import pytest

from segkit.studies.tickets.curves import (
    ONE_SHOT,
    ONE_SHOT_RECALIBRATED,
    PRUNED,
    read_curves,
)
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
        "group: the ticket is better than random weights of the same layers at 25 % (by 0.005 to "
        "0.005) of the weights. Cases: 3, seeds: 2.",
        "group: no evidence of a difference between the ticket and the same mask on new initial "
        "weights at 25 % (+0.000 to +0.000) of the weights. Cases: 3, seeds: 2.",
    )


def test_a_ticket_that_loses_too_much_is_not_called_small(dice_rows: MakeRows) -> None:
    rows = [*dice_rows(DENSE), *dice_rows(less(0.125), level=1)]
    (small,) = answers(read_curves(rows), ["group"], [])
    assert small.sentences == (
        "group, dense 0.646: a loss of more than 0.01 Dice cannot be excluded for any ticket; at "
        "50 % of the weights the difference from the dense network is -0.125 to -0.125.",
    )


def test_a_ticket_far_above_its_dense_network_is_no_success(dice_rows: MakeRows) -> None:
    rows = [*dice_rows(DENSE), *dice_rows(less(-0.25), level=1)]
    (small,) = answers(read_curves(rows), ["group"], [])
    assert small.sentences[0].endswith("longer trainings may turn this around.")


def test_norms_are_compared_by_what_each_loses(dice_rows: MakeRows) -> None:
    rows = []
    for norm, loss in (("group", 0.0625), ("batch", 0.25)):
        rows += dice_rows(DENSE, norm=norm)
        rows += dice_rows(less(0.125), norm=norm, level=1)
        rows += dice_rows(less(loss), norm=norm, level=1, measure=PRUNED)
    *_, tickets, pruned = answers(read_curves(rows), BOTH, [])
    assert tickets.sentences == (
        "no evidence of a difference between group and batch at 50 % (+0.000 to +0.000) of the "
        "weights. Cases: 3, seeds: 2.",
    )
    assert pruned.question == "Right after pruning one level, before training again?"
    assert pruned.sentences == (
        "group loses less Dice than batch at 50 % (by 0.188 to 0.188) of the weights. Cases: 3, "
        "seeds: 2.",
    )


def test_levels_with_different_outcomes_share_a_sentence(dice_rows: MakeRows) -> None:
    rows = [*dice_rows(DENSE), *dice_rows(less(0.25), level=1), *dice_rows(less(0.25), level=2)]
    rows += dice_rows(less(0.0), level=1, kind="finetune")
    rows += dice_rows(less(0.5), level=2, kind="finetune")
    _, control = answers(read_curves(rows), ["group"], ["finetune"])
    assert control.sentences == (
        "group: the ticket is better than the same mask on the trained weights at 25 % (by 0.250 "
        "to 0.250) of the weights; the same mask on the trained weights is better than the ticket "
        "at 50 % (by 0.250 to 0.250) of the weights. Cases: 3, seeds: 2.",
    )


def test_one_case_cannot_tell(dice_rows: MakeRows) -> None:
    dense, sparse = {("a", 0): 0.5}, {("a", 0): 0.25}
    rows = [*dice_rows(dense), *dice_rows(dense, level=1)]
    rows += dice_rows(sparse, level=1, kind="random")
    small, control, _ = answers(read_curves(rows), ["group"], ["random"])
    assert "a loss of more than 0.01 Dice cannot be excluded for any ticket" in small.sentences[0]
    assert "at 50 % (+0.250 in one case, which cannot tell)" in control.sentences[0]


@pytest.mark.parametrize("seeds", [1, 2])
def test_one_seed_is_a_reservation(dice_rows: MakeRows, seeds: int) -> None:
    dense = {(case, seed): 0.5 for case in "ab" for seed in range(seeds)}
    found = answers(read_curves([*dice_rows(dense), *dice_rows(dense, level=1)]), ["group"], [])
    assert ("With one seed" in found[-1].sentences[0]) is (seeds == 1)


def test_new_statistics_and_activations_are_answered(dice_rows: MakeRows) -> None:
    rows = [*dice_rows(DENSE, norm="batch")]
    for measure, loss in ((ONE_SHOT, 0.25), (ONE_SHOT_RECALIBRATED, 0.0)):
        rows += dice_rows(less(loss), norm="batch", level=2, measure=measure)
    fact = {"norm": "batch", "seed": 0, "level": 2, "change": "one_shot"}
    activations = [
        {**fact, "side": side, "sd_ratio": ratio}
        for side, ratio in (("before the norm", 0.5), ("after the norm", 0.75))
    ]
    statistics, spread = answers(read_curves(rows), ["batch"], [], activations)
    assert statistics.sentences == (
        "batch, the dense network pruned at once: the network with new statistics is better than "
        "that with the stored ones at 25 % (by 0.250 to 0.250) of the weights. Cases: 3, seeds: 2.",
    )
    assert spread.sentences == (
        "batch: at 25 % of the weights 0.50 of the standard deviation is left before the norms, "
        "0.75 after them (geometric mean over layers).",
    )
