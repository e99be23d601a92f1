"""From minutes to steps and validations."""

from __future__ import annotations

import math
import time

import pytest

from segkit.config.schema import TrainerConfig
from segkit.training.optimization.schedule import Schedule
from segkit.training.time_budget import SAVING, STEPS, Budget, Timing, first_length


def budget(
    minutes: float | None, *, step: float = 1.0, steps: int = 10, cases: int = 0, case: float = 0.0
) -> Budget:
    """``steps`` steps of ``step`` seconds are timed; nothing else has taken any time."""
    timing = Timing(case=case, saving=0.5)
    for _ in range(steps):
        timing.add_step(step)
    return Budget(TrainerConfig(max_minutes=minutes), timing, cases=cases, windows=6, batch_size=2)


def after(steps: int, total: int) -> Schedule:
    return Schedule(total=total, step=steps, progress=steps / total)


def test_without_minutes_the_length_stays() -> None:
    schedule = after(10, 50)
    budget(None).set_length(schedule, to_come=3)
    assert schedule.total == 50


def test_ten_steps_decide_how_many_there_will_be() -> None:
    schedule, free = after(10, 1000), budget(1)
    free.set_length(schedule, to_come=0)
    assert schedule.remaining == 58  # a minute, less a second for writing, rounded down


def test_time_is_reserved_for_validations_and_their_checkpoints() -> None:
    schedule = after(10, 1000)
    held = budget(10, cases=20, case=0.5)
    assert (held.intermediate_cases(), held.final_reserve()) == (8, 12.5)
    held.set_length(schedule, to_come=2)
    assert schedule.remaining == 577  # of 600: 1 second for writing, twice 4 + 0.5, 12.5 at the end


def test_fewer_cases_are_validated_before_the_end_if_time_is_short() -> None:
    assert (
        budget(10, cases=20, case=2.0).intermediate_cases() == 5
    )  # five times 12 seconds, half of one for writing
    assert budget(0.5, cases=20, case=0.1).intermediate_cases() == 0
    assert budget(None, cases=20, case=1000.0).intermediate_cases() == 8


def test_later_validations_take_as_many_cases_as_the_first() -> None:
    held = budget(10, cases=20, case=2.0)
    assert held.settle_cases() == 5
    held.timing.case = 4.0
    assert (held.intermediate_cases(), held.settle_cases()) == (5, 5)


def test_validations_that_cost_too_much_are_left_out() -> None:
    costly = budget(10, cases=20, case=20.0)
    assert costly.intermediate_cases() == 0
    assert costly.final_reserve() == 30.0  # a twentieth of the time, for one case or two
    assert budget(10, cases=20, case=50.0).final_reserve() == 50.0
    assert budget(10, cases=20, case=61.0).final_reserve() == 0.0


def test_the_time_of_a_case_is_estimated_until_one_is_measured() -> None:
    assert (
        budget(10, step=3.0, cases=1).case_seconds() == 3.0
    )  # a third of a step for 2 patches; 6 windows
    assert budget(10, step=3.0, cases=1, case=7.0).case_seconds() == 7.0


@pytest.mark.parametrize(("before", "then"), [(63, 58), (62, 62), (47, 47), (46, 58)])
def test_small_changes_of_speed_change_nothing_and_large_ones_do(before: int, then: int) -> None:
    schedule = after(10, 10 + before)
    decided = budget(1)
    decided.decided = True
    decided.set_length(schedule, to_come=0)
    assert schedule.remaining == then


def test_steps_that_are_late_leave_the_last_validation_its_time() -> None:
    schedule, held = after(950, 1000), budget(10, step=0.2, cases=40, case=0.3)
    held.decided, held.timing.before = True, 590.0
    assert (
        held.final_reserve() == 15.0
    )  # of the 9 seconds that are left when the model's own has been kept
    assert held.set_length(schedule, to_come=0)
    assert schedule.remaining == 0


def test_a_fixed_number_of_steps_is_not_decided_again() -> None:
    schedule, resumed = after(10, 1000), budget(1)
    resumed.is_fixed = True
    assert not resumed.set_length(schedule, to_come=0)
    assert schedule.total == 1000


def test_a_decision_is_returned_once() -> None:
    schedule, free = after(10, 1000), budget(1)
    assert [free.set_length(schedule, to_come=0) for _ in range(3)] == [True, False, False]


def test_times_add_up_over_processes() -> None:
    timing = Timing()
    timing.add_step(2.0)
    with timing.part(SAVING):
        pass
    timing.load_state_dict({"parts": {STEPS: 4.0, SAVING: 1.0}, "waiting": 3.0})
    assert timing.parts[STEPS] == 6.0
    assert timing.parts[SAVING] >= 1.0
    assert timing.data_share == 0.5


def test_slow_steps_do_not_wait_for_ten_of_them() -> None:
    schedule = after(2, 100)
    budget(1, step=20.0, steps=2).set_length(schedule, to_come=0)
    assert schedule.remaining == 2
    nothing_fits = after(2, 100)
    budget(1, step=70.0, steps=2).set_length(nothing_fits, to_come=0)
    assert nothing_fits.remaining == 0


def test_a_slow_first_step_decides_nothing() -> None:
    schedule = after(1, 1000)
    budget(1, step=3.0, steps=1).set_length(schedule, to_come=0)
    assert schedule.total == 1000


def test_a_schedule_cut_by_a_slow_start_grows_again() -> None:
    schedule = after(4, 6)
    budget(1, steps=4).set_length(schedule, to_come=0)
    assert schedule.remaining == 58


def test_time_of_earlier_processes_counts() -> None:
    timing = Timing(started=time.monotonic() - 20, before=30.0)
    assert timing.elapsed() == pytest.approx(50, abs=1)


def test_data_share_is_relative_to_the_time_of_all_steps() -> None:
    timing = Timing()
    assert timing.data_share == 0
    timing.add_step(4.0)
    timing.waiting = 1.0
    assert timing.data_share == 0.25


def test_first_length() -> None:
    assert first_length(TrainerConfig(max_steps=7), 1.0, 0.0) == 7
    assert first_length(TrainerConfig(max_minutes=10, accumulate=2), 0.5, 60.0) == 540
    assert first_length(TrainerConfig(max_minutes=1), 10.0, 0.0) == 100
    assert first_length(TrainerConfig(max_minutes=1), 0.0, 0.0) > 1000
    assert math.isinf(budget(None).seconds)
