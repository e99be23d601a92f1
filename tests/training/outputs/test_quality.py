"""Fit of the expected Dice at the end of a training: which cases, how long, what is kept."""

from __future__ import annotations

import logging
import math
from pathlib import Path
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
from segkit.quality.example_file import read_examples
from segkit.training.compute.distributed import ALONE, Ranks
from segkit.training.outputs.quality import (
    MAX_CASES,
    QualityFit,
    relative_time,
    seconds_to_measure,
    spread_cases,
)
from segkit.training.signals import StopRequest
from segkit.training.time_budget import Budget, Timing


class Bright(nn.Module):
    """Finds bright voxels as label 1 and dark ones as label 2."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([torch.full_like(x, 2), 4 * x, -4 * x], 1)


@pytest.fixture
def module() -> Any:
    return SimpleNamespace(
        average=Bright().eval(),
        mode=ComputeMode("float32", "contiguous"),
        device=torch.device("cpu"),
    )


def case(number: int) -> PreparedCase:
    """A bright and a dark box in noise."""
    random = np.random.default_rng(number)
    labels = np.zeros((12, 16, 12), np.uint8)
    labels[2:6, 3:12, 3:9], labels[8:11, 3:12, 3:9] = 1, 2
    image = random.normal(0, 0.05, labels.shape) + 3.0 * (labels == 1) - 3.0 * (labels == 2)
    image = ((image - image.mean()) / image.std()).astype(np.float32)
    return PreparedCase(f"case{number}", image[None], labels, {})


def fit(plan: Plan, count: int, minutes: float | None = None, ranks: Ranks = ALONE) -> Any:
    budget = Budget(
        TrainerConfig(max_minutes=minutes), Timing(case=0.01), cases=9, windows=5, batch_size=1
    )
    cases = [case(number) for number in range(count)]
    return QualityFit(plan, cases, budget=budget, stop=StopRequest(), ranks=ranks)


def test_what_goes_into_the_bundle_and_the_run(
    plan_for_balls: Plan, module: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    measured = fit(plan_for_balls, 4)
    with caplog.at_level(logging.INFO):
        measured.measure(module)
    entry = measured.entry()["expected_dice"]
    assert entry["labels"]["low"]["dice"] == pytest.approx(1.0, abs=0.02)
    assert entry["accuracy"]["cases"] == 4
    assert "expected Dice of new scans, fitted to 4 validation cases" in caplog.text
    measured.write(tmp_path)
    kinds = [one.degradation for one in read_examples(tmp_path) if one.label == "low"]
    assert kinds.count("none") == 4
    assert set(kinds) == {"none", "noise", "blur", "orientation", "cropped"}


def test_two_cases_are_too_few(
    plan_for_balls: Plan, module: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    measured = fit(plan_for_balls, 2)
    with caplog.at_level(logging.INFO):
        measured.measure(module)
    assert measured.entry() == {}
    assert "; to fit it to other labeled cases: segkit calibrate RUN dataset=PATH" in caplog.text
    assert "no expected Dice for new scans: it takes 3 validation cases of two patients or" in (
        caplog.text
    )
    (tmp_path / "expected_dice.csv").write_text("examples of a shorter training")
    fit(plan_for_balls, 0).write(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_cases_of_a_patient_are_left_out_together(plan_for_balls: Plan, module: Any) -> None:
    measured = fit(plan_for_balls, 4)
    measured.patients = {"case0": "x", "case1": "x", "case2": "y", "case3": "y"}
    measured.measure(module)
    assert measured.entry()["expected_dice"]["accuracy"]["groups"] == 2
    measured.patients = dict.fromkeys(measured.patients, "x")
    measured.measure(module)
    assert measured.entry() == {}


@pytest.mark.parametrize("by_signal", [True, False])
def test_without_time_nothing_is_measured(
    plan_for_balls: Plan, module: Any, caplog: pytest.LogCaptureFixture, *, by_signal: bool
) -> None:
    caplog.set_level(logging.INFO)
    measured = fit(plan_for_balls, 4, None if by_signal else 0.02)  # 3 % of 1.2 s are 0.036 s
    measured.stop.received = int(by_signal)
    measured.folder = Path("my runs")
    measured.measure(module)
    assert (
        "no expected Dice for new scans: there was time to measure 0 of 4 validation cases; "
        "to measure all: segkit calibrate 'my runs'"
    ) in caplog.text
    assert measured.fitted.examples == ()


def test_cases_are_spread_and_limited(plan_for_balls: Plan) -> None:
    cases = [case(number) for number in range(MAX_CASES + 5)]
    chosen = spread_cases(cases)
    assert len(chosen) == MAX_CASES
    assert [one.id for one in chosen[:2]] == ["case0", "case24"]
    assert fit(plan_for_balls, 3, ranks=Ranks(number=1, count=2)).own_cases[0].id == "case1"


def test_time_is_limited_and_kept() -> None:
    def budget(minutes: float | None) -> Budget:
        trainer, timing = TrainerConfig(max_minutes=minutes), Timing(case=0.5)
        return Budget(trainer, timing, 20, 6, 2, quality_cases=relative_time() * 20)

    assert budget(100).reserve_after() == 1.25 * 100 * 0.5
    assert budget(10).reserve_after() == pytest.approx(18.0)  # 3 % of the time
    assert seconds_to_measure(budget(10)) == pytest.approx(18.0)
    assert seconds_to_measure(budget(0.01)) == 0.0
    assert seconds_to_measure(budget(None)) == 5.0
    long = budget(None)
    long.timing.before = 10_000
    assert math.isclose(seconds_to_measure(long), 500.0, rel_tol=0.01)
