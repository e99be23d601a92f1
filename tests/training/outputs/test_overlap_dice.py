"""Dice at smaller overlaps: on which cases it is measured, and what comes out."""

from __future__ import annotations

import dataclasses
import logging
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segkit.config.schema import TrainerConfig
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.compute.distributed import ALONE, Ranks
from segkit.training.outputs.overlap_dice import MAX_CASES, CasesToMeasure, OverlapDice
from segkit.training.signals import StopRequest
from segkit.training.time_budget import Budget, Timing


class MiddleOnly(nn.Module):
    """Finds bright voxels as label 1, except in the outer voxel at each end of a window."""

    def __init__(self) -> None:
        super().__init__()
        self.windows = 0

    def forward(self, x: Tensor) -> Tensor:
        self.windows += len(x)
        bright = x - 0.5
        bright[:, :, [0, -1]] = -0.5
        return torch.cat([-bright, bright, torch.full_like(x, -9)], 1)


@pytest.fixture
def plan(plan_for_balls: Plan) -> Plan:
    return dataclasses.replace(plan_for_balls, patch=(8, 1, 1))


@pytest.fixture
def module() -> Any:
    return SimpleNamespace(
        average=MiddleOnly().eval(),
        mode=ComputeMode("float32", "contiguous"),
        device=torch.device("cpu"),
    )


def case(name: str, size: int = 24) -> PreparedCase:
    """A line of ``size`` bright voxels along X, all of label 1."""
    image = np.ones((1, size, 1, 1), np.float32)
    return PreparedCase(name, image, np.ones(image.shape[1:], np.uint8), {})


def overlaps(plan: Plan, cases: list[PreparedCase], minutes: float | None = None) -> OverlapDice:
    budget = Budget(
        TrainerConfig(max_minutes=minutes), Timing(case=0.1), cases=9, windows=5, batch_size=1
    )
    return OverlapDice(plan, cases, budget=budget, stop=StopRequest(), ranks=ALONE)


def test_windows_without_overlap_miss_the_voxels_at_their_ends(plan: Plan, module: Any) -> None:
    # 24 voxels: 3 windows without overlap miss 2 voxels each, 18 of 24 are found; at 0.25, four
    # windows from 0, 5, 11 and 16, of which only the ends of the line are missed: 22 of 24.
    measured = overlaps(plan, [case("a")])
    measured.measure(module, {"a": {"low": 0.75}})
    assert module.average.windows == 3 + 4
    assert measured.entry()["overlap"] == {
        "cases": 1,
        "same_windows": 0,
        "dice": {
            "0.5": {"low": 0.75},  # as the validation has it
            "0.25": {"low": round(44 / 46, 6)},
            "0": {"low": round(36 / 42, 6)},
        },
    }


def test_equal_windows_are_not_predicted_again(plan: Plan, module: Any) -> None:
    # 8 voxels are one window; 10 are two at every overlap; 13 are three at 0.5, else two.
    measured = overlaps(plan, [case("a", 8), case("b", 10), case("c", 13)])
    measured.measure(module, {name: {"low": 0.5} for name in "abc"})
    assert module.average.windows == 2
    entry = measured.entry()["overlap"]
    assert (entry["cases"], entry["same_windows"]) == (1, 2)
    assert entry["dice"]["0"] == entry["dice"]["0.25"] != entry["dice"]["0.5"]


def test_only_cases_of_the_validation_are_measured(plan: Plan, module: Any) -> None:
    measured = overlaps(plan, [case("a"), case("b", 8)])
    measured.measure(module, {"b": {"low": 0.5}})
    assert measured.entry()["overlap"] == {"cases": 0, "same_windows": 1, "dice": {}}
    assert overlaps(plan, [case("a")]).entry() == {}


@pytest.mark.parametrize("by_signal", [True, False])
def test_without_time_nothing_is_measured(
    plan: Plan, module: Any, caplog: pytest.LogCaptureFixture, *, by_signal: bool
) -> None:
    # A case of one window does not tell that overlap makes no difference on the other one.
    measured = overlaps(plan, [case("a"), case("b", 8)], minutes=None if by_signal else 0.01)
    measured.stop.received = int(by_signal)
    with caplog.at_level(logging.INFO):
        measured.measure(module, {name: {"low": 0.75} for name in "ab"})
    assert (measured.entry(), module.average.windows) == ({}, 0)
    assert "no time to measure the Dice at smaller overlaps of windows: predict" in caplog.text


def test_the_log_says_what_auto_will_take(
    plan: Plan, module: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        overlaps(plan, [case("a")]).measure(module, {"a": {"low": 0.957}})
    assert "predict --overlap auto will take 0.25: compared with overlap 0.5 on " in caplog.text


def test_cases_are_spread_over_all_and_limited(plan: Plan) -> None:
    cases = [case(str(number)) for number in range(2 * MAX_CASES)]
    chosen = CasesToMeasure.among(cases, plan).cases
    assert len(chosen) == MAX_CASES
    assert (chosen[0].id, chosen[-1].id) == ("0", "39")
    assert len({each.id for each in chosen}) == MAX_CASES


def test_times_are_relative_to_a_case_of_average_size(plan: Plan) -> None:
    # At 0.5 the cases have 5 and 1 windows, 3 on average; the first has 4 + 3 at other overlaps.
    to_measure = CasesToMeasure.among([case("a"), case("b", 8)], plan)
    assert to_measure.relative_times == pytest.approx(7 / 3)
    assert CasesToMeasure.among([], plan).relative_times == 0


def test_each_rank_measures_its_own_cases(plan: Plan) -> None:
    second = OverlapDice(
        plan,
        [case("a"), case("b"), case("c")],
        budget=Budget(TrainerConfig(), Timing(), cases=2, windows=5, batch_size=1),
        stop=StopRequest(),
        ranks=Ranks(number=1, count=2),
    )
    assert [each.id for each in second.own_cases] == ["b"]


def test_time_is_kept_for_it() -> None:
    def budget(minutes: float | None, case: float = 0.5) -> Budget:
        return Budget(
            TrainerConfig(max_minutes=minutes),
            Timing(case=case),
            cases=20,
            windows=6,
            batch_size=2,
            overlap_cases=8.0,
        )

    assert budget(10).reserve_after() == 5.0  # 1.25 times 8 times 0.5 seconds
    assert budget(10, case=2.0).reserve_after() == 12.0  # 2 % of the time
    assert budget(10, case=61.0).reserve_after() == 0.0  # nothing is validated
    assert budget(None).reserve_after() == 5.0
    assert budget(10).reserve(0) == 12.5 + 5.0
    assert math.isinf(budget(None).seconds)
