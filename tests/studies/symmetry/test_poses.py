"""Prediction of moved scans: an equivariant network gives the same in every pose, others do not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from segkit.config.schema import TrainConfig
from segkit.networks.precision import ComputeMode
from segkit.plans.plan import Plan, SymmetryPlan
from segkit.plans.plan_file import read_plan
from segkit.plans.symmetry import elements
from segkit.preprocessing.case_store import PreparedCase
from segkit.studies.normalization.trained_cell import TrainedCell
from segkit.studies.symmetry.poses import largest_error, pose_name, pose_rows

TURNS = elements("octahedral24", (0, 1, 2), 3)
MIRROR = elements("mirror", (0,), 3)


class Brightness(nn.Module):
    """Network whose first label is where the image is above 0, voxel by voxel."""

    def forward(self, windows: Tensor) -> Tensor:
        scores = torch.zeros(len(windows), 3, *windows.shape[2:])
        scores[:, 1] = windows[:, 0]
        scores[:, 2] = -9
        return scores


class Halves(nn.Module):
    """Network that labels the left half of a window with 1 and the right half with 2."""

    def forward(self, windows: Tensor) -> Tensor:
        half = windows.shape[2] // 2
        scores = torch.zeros(len(windows), 3, *windows.shape[2:])
        scores[:, 1, :half] = 1
        scores[:, 2, half:] = 1
        return scores


@pytest.fixture
def plan() -> Plan:
    plan = read_plan(Path(__file__).parents[2] / "data" / "plan_v1.json")
    labels = {"left": 1, "right": 2}
    return dataclasses.replace(
        plan, patch=(8, 8, 8), labels=labels, mirror_axes=(), mirror_swaps=(), regions={}
    )


def cell_of(network: nn.Module, plan: Plan, case: PreparedCase) -> TrainedCell:
    mode = ComputeMode("float32", "contiguous")
    network = network.eval()
    return TrainedCell(Path(), TrainConfig(), plan, network, [case], mode, torch.device("cpu"))


def halves_case() -> PreparedCase:
    labels = np.ones((8, 8, 8), np.uint8)
    labels[4:] = 2
    return PreparedCase("a", np.zeros((1, 8, 8, 8), np.float32), labels, {1: np.zeros((1, 3), int)})


def test_a_voxelwise_network_is_right_in_every_pose_of_a_scan_of_unequal_edges(plan: Plan) -> None:
    image = np.random.default_rng(0).standard_normal((1, 8, 12, 10)).astype(np.float32)
    labels = (image[0] > 0).astype(np.uint8)
    case = PreparedCase("a", image, labels, {})
    rows = list(pose_rows(cell_of(Brightness(), plan, case), case, TURNS, average=True))
    of_poses = [row for row in rows if row["measure"] == "dice"]
    assert len({row["pose"] for row in of_poses}) == 24
    assert {row["value"] for row in of_poses} == {1.0}
    (averaged,) = [row for row in rows if row["measure"] == "dice_averaged"]
    assert (averaged["value"], averaged["label"]) == (1.0, "left")


def test_sides_are_right_in_a_mirror_only_if_their_names_are_exchanged(plan: Plan) -> None:
    case = halves_case()
    swapped = dataclasses.replace(plan, mirror_swaps=(("left", "right"),))

    def mirrored(plan: Plan) -> set[float]:
        rows = pose_rows(cell_of(Halves(), plan, case), case, MIRROR, average=False)
        return {float(row["value"]) for row in rows if row["pose"] == "(-x,y,z)"}  # type: ignore

    assert mirrored(swapped) == {1.0}
    assert mirrored(plan) == {0.0}


def test_the_mean_over_poses_is_between_them(plan: Plan) -> None:
    # A half of one side in each of 24 poses: the turned ones vote it down.
    case = halves_case()
    rows = list(pose_rows(cell_of(Halves(), plan, case), case, TURNS, average=True))
    canonical = [row["value"] for row in rows if row.get("pose") == "(x,y,z)"]
    turned = [row["value"] for row in rows if row.get("pose") == pose_name(TURNS[3])]
    averaged = [row["value"] for row in rows if row["measure"] == "dice_averaged"]
    assert canonical == [1.0, 1.0]
    assert max(turned) < 1.0  # type: ignore[type-var]
    assert len(averaged) == 2
    assert max(averaged) < 1.0  # type: ignore[type-var]


def test_the_equivariance_error_is_zero_for_one_and_large_for_the_other(plan: Plan) -> None:
    turns, case = SymmetryPlan("octahedral24", (0, 1, 2)), halves_case()
    assert largest_error(cell_of(Brightness(), plan, case), turns) == 0
    # Scores are 0 or 1, with a standard deviation of the root of 2/9, and differ by 1.
    assert largest_error(cell_of(Halves(), plan, case), turns) == pytest.approx(2.12, abs=0.01)
