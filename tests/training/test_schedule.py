"""Length and learning rate."""

from __future__ import annotations

import pytest

from segkit.config import TrainerConfig
from segkit.training.schedule import Schedule, learning_rate_factor


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


def test_learning_rate_warms_up_and_decays_to_zero() -> None:
    trainer = TrainerConfig(warmup=0.1, decay_power=1.0)
    assert learning_rate_factor(0.0, trainer) == pytest.approx(0.001 / 0.101)
    assert learning_rate_factor(0.1, trainer) == pytest.approx(1.0)
    assert learning_rate_factor(0.55, trainer) == pytest.approx(0.5)
    assert learning_rate_factor(1.0, trainer) == 0.0
