"""Label maps in bfloat16 against those in float32."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segkit.plans.plan import Plan
from segkit.preprocessing.case_store import PreparedCase
from segkit.training.outputs.precision_agreement import boxes_to_predict, precision_agreement

CPU = torch.device("cpu")


class Threshold(nn.Module):
    """Label 1 where the image is above 1, label 2 above 2; autocast rounds the image."""

    def forward(self, windows: Tensor) -> Tensor:
        if torch.is_autocast_enabled("cpu"):
            windows = windows.bfloat16().float()
        return torch.cat([torch.zeros_like(windows), windows - 1, 2 * windows - 3], dim=1)


def case(values: list[float], labeled: int = 0) -> PreparedCase:
    """A line of voxels along X that starts with ``values``; voxel ``labeled`` has label 1."""
    image = np.zeros((1, 32, 8, 8), np.float32)
    image[0, : len(values), 0, 0] = values
    labels = np.zeros(image.shape[1:], np.uint8)
    return PreparedCase("case", image, labels, {1: np.array([[labeled, 0, 0]], np.int32)})


@pytest.fixture
def plan(plan_for_balls: Plan) -> Plan:
    return dataclasses.replace(plan_for_balls, patch=(8, 8, 8))


def found(
    plan: Plan, *cases: PreparedCase, seconds: float = 60.0, network: nn.Module | None = None
) -> object:
    network = (network or Threshold()).eval()
    return precision_agreement(network, cases, plan, device=CPU, seconds=seconds)


def test_dice_of_the_two_precisions(plan: Plan) -> None:
    # 1.001 is 1.0 in bfloat16, which is not above 1: one of three voxels of label 1 is lost,
    # so that Dice is 4 / 5. All voxels of label 2 stay.
    first = case([1.5, 1.25, 1.001, 3, 3])
    assert found(plan, first) == {"bfloat16": {"dice": {"low": 0.8, "high": 1.0}, "cases": 1}}
    # Without label 2 the second case counts for label 1 only.
    both = found(plan, first, case([1.5]))
    assert both == {"bfloat16": {"dice": {"low": 0.9, "high": 1.0}, "cases": 2}}


def test_the_box_lies_around_the_labels_and_is_two_windows_wide(plan: Plan) -> None:
    line = [1.001] + [0.0] * 14 + [1.5] + [0.0] * 15 + [1.5]
    assert found(plan, case(line, labeled=31)) == {"bfloat16": {"dice": {"low": 1.0}, "cases": 1}}
    assert found(plan, case(line, labeled=0)) == {
        "bfloat16": {"dice": {"low": round(2 / 3, 6)}, "cases": 1}
    }


def test_each_region_is_compared_separately(plan: Plan) -> None:
    plan = dataclasses.replace(
        plan, labels={"outer": 1, "inner": 2}, regions={"outer": (1, 2), "inner": (2,)}
    )

    class Regions(nn.Module):
        def forward(self, windows: Tensor) -> Tensor:
            return Threshold()(windows)[:, 1:]

    # Above 1 outer, above 1.5 inner: 1.501 is 1.5 in bfloat16.
    dice = {"outer": 1.0, "inner": round(2 / 3, 6)}
    assert found(plan, case([1.25, 1.501, 3]), network=Regions()) == {
        "bfloat16": {"dice": dice, "cases": 1}
    }


def test_without_labels_or_cases_there_is_no_agreement(plan: Plan) -> None:
    assert found(plan, case([0.5])) == {}
    assert found(plan) == {}


def test_predictions_fit_into_the_given_time(plan: Plan) -> None:
    assert found(plan, *[case([1.5])] * 5) == {"bfloat16": {"dice": {"low": 1.0}, "cases": 3}}
    assert found(plan, case([1.5]), seconds=1e-6) == {}


@pytest.mark.parametrize(
    ("reach", "fitting", "edges"),
    # Of an edge of 8: windows at 0, 4, 8 of 16 voxels; at 0, 4 of 12; at 0 of 8.
    [(2.0, 6, [16, 16]), (2.0, 5, [16]), (1.5, 4, [12, 12]), (1.5, 1, []), (1.0, 2, [8, 8])],
)
def test_windows_are_counted_beforehand(
    plan: Plan, reach: float, fitting: int, edges: list[int]
) -> None:
    boxes = boxes_to_predict([case([1.5])] * 2, plan, reach, fitting)
    assert [box[0].stop - box[0].start for box in boxes] == edges
