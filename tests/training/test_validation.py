"""Dice on whole prepared volumes."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segkit.errors import InputError
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.validation import validate, window_count

MODE = ComputeMode("float32", "contiguous")


class Threshold(nn.Module):
    """Label 1 where the image is above 0.5; label 2 nowhere."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([0.5 - x, x - 0.5, torch.full_like(x, -9)], 1)


def case(name: str, image: list[float], labels: list[int]) -> PreparedCase:
    array = np.array(image, np.float32).reshape(1, -1, 1, 1)
    return PreparedCase(name, array, np.array(labels, np.uint8).reshape(-1, 1, 1), {})


def test_dice_is_the_mean_over_cases_that_have_the_label(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, patch=(4, 1, 1))
    cases = [
        case("a", [1, 1, 0, 0], [1, 0, 0, 0]),
        case("b", [1, 0, 0, 0], [1, 0, 0, 0]),
        case("c", [0] * 4, [0] * 4),
    ]
    score = validate(Threshold(), cases, plan, mode=MODE, device=torch.device("cpu"))
    assert score.labels == {"low": pytest.approx((2 / 3 + 1) / 2)}
    assert score.mean == pytest.approx((2 / 3 + 1) / 2)
    assert score.cases == 3
    assert score.per_case == {"a": {"low": pytest.approx(2 / 3)}, "b": {"low": 1.0}, "c": {}}
    # Of two values the half width is t(1) = 12.706 times half their difference.
    assert score.half_widths() == {"low": pytest.approx(12.706 / 6, rel=1e-3)}


def test_a_label_that_is_missed_counts_as_zero(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, patch=(4, 1, 1))
    score = validate(
        Threshold(), [case("a", [0] * 4, [0, 2, 2, 0])], plan, mode=MODE, device=torch.device("cpu")
    )
    assert score.labels == {"high": 0.0}


def test_scores_that_are_not_finite_are_an_error(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, patch=(4, 1, 1))
    cases = [case("a", [float("inf")] * 4, [0] * 4)]
    with pytest.raises(
        InputError, match=r"validation of case a: expected finite scores .*trainer\.learning_rate"
    ):
        validate(Threshold(), cases, plan, mode=MODE, device=torch.device("cpu"))


def test_every_case_is_shown_with_its_prediction(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, patch=(4, 1, 1))
    shown: list[tuple[str, list[int], list[int], dict[str, float]]] = []
    validate(
        Threshold(),
        [case("a", [1, 1, 0, 0], [1, 0, 0, 0])],
        plan,
        mode=MODE,
        device=torch.device("cpu"),
        on_case=lambda each, ours, theirs, dice: shown.append(
            (each.id, ours.flatten().tolist(), theirs.flatten().tolist(), dice)
        ),
    )
    assert shown == [("a", [1, 1, 0, 0], [1, 0, 0, 0], {"low": pytest.approx(2 / 3)})]


def test_the_other_cases_are_skipped_when_it_is_enough(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, patch=(4, 1, 1))
    cases = [case("a", [1, 0, 0, 0], [1, 0, 0, 0]), case("b", [0] * 4, [1] * 4)]
    score = validate(
        Threshold(),
        cases,
        plan,
        mode=MODE,
        device=torch.device("cpu"),
        is_enough=lambda done: done == 1,
    )
    assert (score.cases, score.labels) == (1, {"low": 1.0})


def test_windows_of_a_case(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, patch=(2, 1, 1))
    assert window_count(case("a", [0] * 4, [0] * 4), plan) == 3
    assert window_count(case("a", [0], [0]), plan) == 1
