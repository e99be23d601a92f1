"""Levels of pruning, and the order of the trainings."""

from __future__ import annotations

from segkit.studies.tickets.levels import (
    CONTROLS,
    TICKET,
    Training,
    default_control_levels,
    trainings,
)


def test_every_training_comes_after_those_it_needs() -> None:
    done: set[Training] = set()
    for training in trainings(
        ["group", "batch"], [0, 1], levels=3, controls=CONTROLS, control_levels=(1, 3)
    ):
        assert set(training.parents) <= done
        done.add(training)
    tickets = {training for training in done if training.kind == TICKET}
    assert len(tickets) == 2 * 2 * 4
    assert len(done - tickets) == 2 * 2 * 2 * len(CONTROLS)
    assert len({training.name for training in done}) == len(done)


def test_a_control_needs_the_mask_of_its_ticket_and_the_weights_before() -> None:
    control = Training("batch", 1, "random", 2)
    assert [(parent.kind, parent.level) for parent in control.parents] == [
        (TICKET, 2),
        (TICKET, 1),
        (TICKET, 0),
    ]


def test_controls_of_few_levels() -> None:
    assert default_control_levels(0.2, 2) == (1, 2)
    assert default_control_levels(0.2, 0) == ()
    assert default_control_levels(0.9, 1) == (1,)
