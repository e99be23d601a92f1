"""Curves and comparisons of a study whose differences are known by hand."""

from __future__ import annotations

import pytest

from segkit.studies.tickets.curves import (
    PRUNED,
    Arm,
    against_controls,
    against_dense,
    losses_between_norms,
    read_curves,
    smallest_without_loss,
)
from segkit.studies.tickets.outputs import dice_table

from .conftest import MakeRows

KEYS = [(case, seed) for case in ("a", "b", "c") for seed in (0, 1)]
DENSE = dict(zip(KEYS, (0.5, 0.75, 0.5, 0.625, 0.75, 0.75), strict=True))


def less(loss: float) -> dict[tuple[str, int], float]:
    """Return the Dice of the dense network, less the same for every case and seed."""
    return {key: dice - loss for key, dice in DENSE.items()}


def test_dice_is_the_mean_over_labels_and_failed_cells_are_left_out(dice_rows: MakeRows) -> None:
    failed = {"norm": "group", "seed": 0, "kind": "ticket", "level": 1, "status": "failed"}
    curves = read_curves([*dice_rows(DENSE), failed])
    assert curves.values == {Arm("group", "ticket", 0): DENSE}
    assert curves.remaining == {0: 1.0}


def test_tickets_are_compared_with_the_dense_network_of_their_seed(dice_rows: MakeRows) -> None:
    rows = [*dice_rows(DENSE), *dice_rows(less(0.125), level=1), *dice_rows(less(0.25), level=2)]
    found = against_dense(read_curves(rows), "group")
    assert [(each.level, each.remaining, each.difference.mean) for each in found] == [
        (1, 0.5, -0.125),
        (2, 0.25, -0.25),
    ]
    # Every case and seed loses the same: the interval is a point, though the cases differ.
    assert all(each.difference.low == each.difference.high for each in found)


@pytest.mark.parametrize(
    ("losses", "level"), [((0.0, 0.0), 2), ((0.0, 0.5), 1), ((0.5, 0.0), None), ((-0.5, 0.009), 2)]
)
def test_the_smallest_ticket_is_looked_for_from_the_dense_side(
    dice_rows: MakeRows, losses: tuple[float, float], level: int | None
) -> None:
    rows = dice_rows(DENSE)
    for number, loss in enumerate(losses, start=1):
        rows += dice_rows(less(loss), level=number)
    smallest = smallest_without_loss(against_dense(read_curves(rows), "group"))
    assert (smallest.level if smallest else None) == level


def test_controls_are_compared_where_both_were_trained(dice_rows: MakeRows) -> None:
    rows = [
        *dice_rows(less(0.125), level=1),
        *dice_rows(less(0.25), level=1, kind="random"),
        *dice_rows(less(0.5), level=2, kind="random"),  # its ticket failed
        *dice_rows(less(0.0), level=1, kind="reinit", norm="batch"),
    ]
    (found,) = against_controls(read_curves(rows), "group", ["random", "reinit"])
    assert (found.level, found.a, found.b, found.difference.mean) == (1, "ticket", "random", 0.125)


def test_the_loss_by_pruning_is_taken_from_the_level_before(dice_rows: MakeRows) -> None:
    rows = []
    for norm, loss in (("group", 0.0625), ("batch", 0.25)):
        rows += dice_rows(DENSE, norm=norm) + dice_rows(less(0.125), norm=norm, level=1)
        rows += dice_rows(less(0.125 + loss), norm=norm, level=2, measure=PRUNED)
    curves = read_curves(rows)
    (found,) = losses_between_norms(curves, ("group", "batch"), PRUNED)
    assert (found.level, found.difference.mean) == (2, 0.0625 - 0.25)
    (found,) = losses_between_norms(curves, ("group", "batch"), PRUNED, reference_level=0)
    assert found.difference.mean == 0.0625 - 0.25
    assert losses_between_norms(curves, ("group", "instance"), PRUNED) == []


def test_losses_differ_by_two_at_most(dice_rows: MakeRows) -> None:
    keys = [("a", 0), ("b", 0)]
    dice = {
        ("group", 0): (0.25, 0.75),
        ("group", 1): (0.75, 0.25),
        ("batch", 0): (0.75, 0.25),
        ("batch", 1): (0.25, 0.75),
    }
    rows = []
    for (norm, level), values in dice.items():
        rows += dice_rows(dict(zip(keys, values, strict=True)), norm=norm, level=level)
    (found,) = losses_between_norms(read_curves(rows), ("group", "batch"), "dice")
    # -1 and 1 have a standard error of 1, and Student's t of one degree of freedom is 12.7.
    assert (found.difference.low, found.difference.high) == (-2.0, 2.0)


def test_the_table_gives_no_interval_of_a_single_case(dice_rows: MakeRows) -> None:
    seeds = {("a", 0): 0.5, ("a", 1): 0.75}
    assert dice_table(read_curves(dice_rows(seeds)))[1] == [
        ["group", "dense", "100 %", 0.625, None, None]
    ]
    (of_two,) = dice_table(read_curves(dice_rows({("a", 0): 0.5, ("b", 0): 0.5})))[1]
    assert of_two[3:] == [0.5, 0.5, 0.5]


def test_many_levels_widen_the_interval_of_each(dice_rows: MakeRows) -> None:
    cases = {(f"case {number}", 0): 0.5 + 0.01 * number for number in range(8)}
    changed = {key: dice**2 for key, dice in cases.items()}
    few = [*dice_rows(cases), *dice_rows(changed, level=1)]
    (alone,) = against_dense(read_curves(few), "group")
    together = against_dense(read_curves([*few, *dice_rows(changed, level=2)]), "group")
    assert (alone.difference.level, together[0].difference.level) == (0.95, 0.975)
    assert together[0].difference.low < alone.difference.low
