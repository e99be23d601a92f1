"""Length of a training and learning rate."""

from __future__ import annotations

import pytest

from segkit.config.schema import TrainerConfig
from segkit.training.optimization.schedule import AHEAD, NEVER, Schedule, learning_rate_factor


def test_progress_is_linear_in_steps() -> None:
    schedule = Schedule(total=4)
    seen = []
    for _ in range(4):
        schedule.advance()
        seen.append(schedule.progress)
    assert seen == pytest.approx([0.25, 0.5, 0.75, 1.0])
    assert schedule.remaining == 0


def test_a_revised_schedule_still_reaches_one_without_a_jump() -> None:
    schedule = Schedule(total=100)
    for _ in range(50):
        schedule.advance()
    schedule.end_after(10)
    schedule.advance()
    assert schedule.progress == pytest.approx(0.55)
    for _ in range(9):
        schedule.advance()
    assert schedule.progress == pytest.approx(1.0)
    assert schedule.remaining == 0


def test_state_restores_the_schedule() -> None:
    schedule = Schedule(total=7)
    schedule.advance()
    assert Schedule(**schedule.state()) == schedule


def advanced(total: int, steps: int, until: float) -> Schedule:
    schedule = Schedule(total, augment_until=until)
    for _ in range(steps):
        schedule.advance()
    return schedule


@pytest.mark.parametrize(("until", "step"), [(0.7, 700), (0.0, 0), (0.6995, 700), (1.0, NEVER)])
def test_patches_are_plain_from_the_step_at_which_that_much_is_done(
    until: float, step: int
) -> None:
    assert Schedule(1000, augment_until=until).plain_from == step
    assert advanced(1000, 900, until).plain_from == step


def test_another_length_moves_the_plain_end() -> None:
    schedule = advanced(1000, 200, 0.7)
    schedule.end_after(400)  # 0.2 is done, 0.8 takes 400 steps, the 0.5 until then 250
    assert schedule.plain_from == 450
    assert Schedule(**schedule.state()) == schedule


def test_patches_that_may_have_been_cut_stay_what_they_are() -> None:
    late = advanced(1000, 700 - AHEAD, 0.7)
    late.end_after(5000)
    assert late.plain_from == 700
    shorter = advanced(1000, 200, 0.7)
    shorter.end_after(10)
    assert shorter.plain_from == 200 + AHEAD
    always = advanced(1000, 999, 1.0)
    always.end_after(100)
    assert always.plain_from == NEVER


def test_a_state_of_older_versions_goes_on_changing_patches() -> None:
    assert Schedule(**{"total": 10, "step": 8, "progress": 0.8}).plain_from == NEVER


def test_learning_rate_warms_up_and_decays_to_zero() -> None:
    trainer = TrainerConfig(warmup=0.1, decay_power=1.0)
    assert learning_rate_factor(0.0, trainer) == pytest.approx(0.001 / 0.101)
    assert learning_rate_factor(0.1, trainer) == pytest.approx(1.0)
    assert learning_rate_factor(0.55, trainer) == pytest.approx(0.5)
    assert learning_rate_factor(1.0, trainer) == 0.0
