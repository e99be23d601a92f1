"""When a training validates, and on how many cases."""

from __future__ import annotations

import json
import logging
import signal
from typing import Any

import pytest

from segkit.config.schema import TrainerConfig
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.callbacks.scheduled_validation import ScheduledValidation
from segkit.training.compute.distributed import ALONE
from segkit.training.signals import StopRequest
from segkit.training.time_budget import Budget, Timing


def validation(
    plan: Plan, cases: list[PreparedCase], *, count: int = 2, minutes: float | None = None
) -> ScheduledValidation:
    config = TrainerConfig(max_minutes=minutes, validations=count)
    budget = Budget(config, Timing(), cases=len(cases), windows=1, batch_size=2)
    return ScheduledValidation(
        plan, cases, count=count, budget=budget, stop=StopRequest(), ranks=ALONE
    )


def test_two_validations_are_due_halfway_and_at_the_end(
    plan: Plan, cases: list[PreparedCase], module: Any
) -> None:
    scheduled = validation(plan, cases)
    module.schedule.step, module.schedule.progress = 1, 0.25
    assert scheduled.run_if_due(module)
    assert (scheduled.score, scheduled.remaining()) == (None, 1)
    module.schedule.advance()
    assert scheduled.run_if_due(module)
    assert scheduled.score is not None
    assert scheduled.score.labels == {"low": 1.0}
    assert (scheduled.score_step, scheduled.remaining()) == (2, 0)
    module.schedule.step, module.schedule.progress = 4, 1.0
    assert scheduled.run_if_due(module)
    assert scheduled.score_of_step(4) is scheduled.score
    assert scheduled.score_of_step(2) is None
    assert [picture.case for picture in scheduled.gallery.pictures] == ["a", "b", "c"]


def test_a_signal_cuts_a_validation_short_and_it_stays_due(
    plan: Plan, cases: list[PreparedCase], module: Any
) -> None:
    scheduled = validation(plan, cases)
    scheduled.stop.received = signal.SIGTERM
    assert not scheduled.run_if_due(module)
    assert scheduled.stop.agreed == signal.SIGTERM
    assert scheduled.due_so_far == 0


def test_without_time_for_one_case_nothing_is_validated_at_the_end(
    plan: Plan, cases: list[PreparedCase], module: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scheduled = validation(plan, cases, minutes=1)
    scheduled.budget.timing.case = 7.0  # more than a tenth of a minute
    module.schedule.step = 4
    with caplog.at_level(logging.WARNING):
        assert scheduled.run_if_due(module)
    assert scheduled.score is None
    assert "no validation at the end: one case would take about 7 s" in caplog.text


def test_the_state_of_a_checkpoint_comes_back(
    plan: Plan, cases: list[PreparedCase], module: Any
) -> None:
    scheduled, resumed = validation(plan, cases), validation(plan, cases)
    scheduled.run_if_due(module)
    resumed.load_state_dict(json.loads(json.dumps(scheduled.state_dict())))
    assert resumed.score == scheduled.score
    assert (resumed.score_step, resumed.due_so_far) == (2, 1)
