"""Rotation, scaling and mirroring act in mm, and labels stay aligned with the image."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import affine_grid, grid_sample

from segkit.config.schema import AugmentConfig
from segkit.networks.equivariance import moved
from segkit.plans.plan import Plan, SymmetryPlan
from segkit.plans.symmetry import elements
from segkit.training.data.augment_spatial import (
    Placement,
    _rotated,
    _scaled,
    draw_placement,
    flat_axis,
    mirror,
    move,
    resample_patch,
)

TURNED = AugmentConfig(rotate=1, scale=0)
SCALED = AugmentConfig(rotate=0, scale=1)
BOTH = AugmentConfig(rotate=1, scale=1)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def noise_image(*shape: int) -> torch.Tensor:
    return torch.from_numpy(generator(5).standard_normal(shape, dtype=np.float32))


def ball(size: int, radius: float) -> torch.Tensor:
    axis = torch.arange(size) - (size - 1) / 2
    return (
        axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2 <= radius**2
    ).byte()


def placed(labels: torch.Tensor, matrix: Any, patch: tuple[int, int, int]) -> torch.Tensor:
    return resample_patch(labels[None].float(), labels, Placement(matrix), patch)[1]


def direction(labels: torch.Tensor, spacing: np.ndarray) -> np.ndarray:
    """Return the direction of the long axis of a rod in mm."""
    points = np.argwhere(labels.numpy()) * spacing
    return np.linalg.svd(points - points.mean(0))[2][0]


def test_no_probability_moves_nothing(plan_for_balls: Plan) -> None:
    placement = draw_placement(plan_for_balls, AugmentConfig(rotate=0, scale=0), generator())
    image, labels = noise_image(1, 4, 4, 4), ball(4, 1)
    moved = resample_patch(image, labels, placement, (4, 4, 4))
    assert placement.matrix is None
    assert moved[0] is image
    assert moved[1] is labels


def test_identity_placement_returns_the_box() -> None:
    assert torch.equal(placed(ball(8, 3), np.eye(3), (8, 8, 8)), ball(8, 3))


def test_positions_beside_the_box_take_its_border() -> None:
    assert placed(ball(4, 9), 2 * np.eye(3), (4, 4, 4)).all()


@pytest.mark.parametrize("factor", [0.7, 1.4, 2.0])
def test_scaling_changes_the_volume_of_a_ball_by_the_cube(
    factor: float, plan_for_balls: Plan
) -> None:
    config = dataclasses.replace(SCALED, scale_range=[factor, factor])
    matrix = draw_placement(plan_for_balls, config, generator()).matrix
    before, after = ball(60, 12), placed(ball(60, 12), matrix, (60, 60, 60))
    assert after.sum().item() == pytest.approx(factor**3 * before.sum().item(), rel=0.03)


def test_a_quarter_turn_turns_a_bar() -> None:
    bar = torch.zeros(31, 31, 31, dtype=torch.uint8)
    bar[:, 15, 15] = 1
    turned = placed(bar, np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), (31, 31, 31))
    assert turned[15, :, 15].all()
    assert turned.sum() == 31


@pytest.mark.parametrize("seed", [1, 2, 4])
def test_a_rod_turns_by_the_drawn_angle_in_mm(seed: int, plan_for_balls: Plan) -> None:
    spacing = np.array([1.0, 1.5, 3.0])
    plan = dataclasses.replace(plan_for_balls, spacing=tuple(spacing.tolist()), patch=(60, 40, 20))
    placement = draw_placement(plan, dataclasses.replace(TURNED, dummy_2d=2), generator(seed))
    angle = np.radians(generator(seed).uniform(-30, 30, 3)[2])
    box = torch.zeros([int(edge) for edge in placement.reach(plan.patch)], dtype=torch.uint8)
    middle = [edge // 2 for edge in box.shape]
    box[middle[0] - 20 : middle[0] + 20, middle[1] - 1 : middle[1] + 1] = 1
    turned = direction(placed(box, placement.matrix, plan.patch).max(dim=2).values, spacing[:2])
    found = np.arctan2(turned[1], turned[0])
    assert abs(angle) > np.radians(3)
    # The patch samples the scan turned by the angle: what is in it turns the other way.
    assert (found + angle + np.pi / 2) % np.pi - np.pi / 2 == pytest.approx(0, abs=np.radians(1.5))


def test_rotation_is_rigid_in_mm_on_anisotropic_voxels(plan_for_balls: Plan) -> None:
    spacing = np.array([1.0, 1.0, 4.0])
    plan = dataclasses.replace(plan_for_balls, spacing=(1.0, 1.0, 4.0))
    matrix = draw_placement(plan, dataclasses.replace(TURNED, dummy_2d="none"), generator()).matrix
    assert matrix is not None
    in_mm = matrix * spacing[:, None] / spacing[None, :]
    assert in_mm @ in_mm.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.abs(in_mm - np.eye(3)).max() > 0.05


@pytest.mark.parametrize(
    ("patch", "spacing", "flat"),
    [
        ((20, 64, 64), (3.0, 1.0, 1.0), 0),
        ((64, 64, 20), (1.0, 1.0, 3.0), 2),
        ((64, 22, 64), (1.0, 3.0, 1.0), None),  # 64 is less than three times 22
        ((64, 64, 20), (1.0, 1.0, 1.0), 2),  # a thin scan: the shortest axis
        ((20, 64, 64), (0.5, 1.0, 1.0), None),  # thin across the finest voxels
    ],
)
def test_a_slab_is_turned_in_its_plane(
    patch: Any, spacing: Any, flat: int | None, plan_for_balls: Plan
) -> None:
    plan = dataclasses.replace(plan_for_balls, patch=patch, spacing=spacing)
    assert flat_axis(plan, "auto") == flat
    matrix = draw_placement(plan, BOTH, generator()).matrix
    assert matrix is not None
    for axis in range(3):
        still = all(
            line.tolist() == np.eye(3)[axis].tolist() for line in (matrix[axis], matrix[:, axis])
        )
        assert still == (axis == flat)


def test_the_flat_axis_can_be_said(plan_for_balls: Plan) -> None:
    slab = dataclasses.replace(plan_for_balls, patch=(8, 32, 32), spacing=(4.0, 1.0, 1.0))
    assert [flat_axis(slab, choice) for choice in ("auto", "none", 1)] == [0, None, 1]


def test_a_2d_plan_turns_in_plane_only(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, dims=2, slice_axis=1, patch=(8, 1, 8))
    matrix = draw_placement(plan, BOTH, generator()).matrix
    assert matrix is not None
    assert matrix[1].tolist() == matrix[:, 1].tolist() == [0, 1, 0]
    assert flat_axis(plan, "none") == 1


@pytest.mark.parametrize("flat", ["none", 0, 1, 2])
@pytest.mark.parametrize("seed", range(4))
def test_every_sample_lies_inside_the_reach(seed: int, flat: Any, plan_for_balls: Plan) -> None:
    placement = draw_placement(
        plan_for_balls, dataclasses.replace(BOTH, dummy_2d=flat), generator(seed)
    )
    reach = placement.reach((8, 8, 6))
    ramp = torch.arange(float(np.prod(reach))).view([int(edge) for edge in reach])
    inner = torch.zeros_like(ramp, dtype=torch.uint8)
    inner[(slice(1, -1),) * 3] = 1
    image, _ = resample_patch(inner[None].float(), inner, placement, (8, 8, 6))
    middle = resample_patch(ramp[None], inner, placement, (8, 8, 6))[0].mean()
    assert middle.item() == pytest.approx(float(ramp.mean()), rel=1e-4)
    assert flat != "none" or image.min() > 0


@pytest.mark.parametrize("flat", ["none", 2])
def test_it_samples_as_torch_does(flat: Any, plan_for_balls: Plan) -> None:
    placement = draw_placement(
        plan_for_balls, dataclasses.replace(BOTH, dummy_2d=flat), generator(3)
    )
    patch, box = (12, 10, 8), [int(edge) for edge in placement.reach((12, 10, 8))]
    assert placement.matrix is not None
    image, labels = noise_image(2, *box), torch.from_numpy(generator().integers(0, 4, box)).byte()
    theta = placement.matrix * np.array(patch)[None, :] / np.array(box)[:, None]
    flipped = torch.from_numpy(np.pad(theta[::-1, ::-1], ((0, 0), (0, 1)))).float()
    grid = affine_grid(flipped[None], [1, 1, *patch], align_corners=False)
    linear = grid_sample(image[None], grid, align_corners=False)[0]
    nearest = grid_sample(labels[None, None].float(), grid, mode="nearest", align_corners=False)[
        0, 0
    ]
    found, found_labels = resample_patch(image, labels, placement, patch)
    assert torch.allclose(found, linear, atol=1e-4)
    assert (found_labels == nearest).float().mean() > 0.99


@pytest.mark.parametrize(
    "diagonal", [(1.25, 1.25, 1.25), (0.8, 0.7, 0.6), (1.0, 1.3, 1.3), (1.0, 1.0, 0.9)]
)
def test_one_axis_after_the_other_is_the_same_bit_for_bit(
    diagonal: tuple[float, float, float],
) -> None:
    matrix, patch = np.diag(diagonal), (21, 18, 37)
    numbers = torch.Generator().manual_seed(0)
    box = [int(edge) for edge in Placement(matrix).reach(patch)]
    image, labels = (
        torch.randn(2, *box, generator=numbers),
        torch.randint(3, box, generator=numbers, dtype=torch.uint8),
    )
    for found, expected in zip(
        _scaled(image, labels, matrix, patch), _rotated(image, labels, matrix, patch), strict=True
    ):
        assert torch.equal(found, expected)


def test_labels_stay_integers_that_go_with_the_image(plan_for_balls: Plan) -> None:
    labels = 3 * ball(40, 11)
    matrix = draw_placement(plan_for_balls, BOTH, generator()).matrix
    image, moved = resample_patch(labels[None].float(), labels, Placement(matrix), (24, 24, 24))
    assert moved.dtype == torch.uint8
    assert set(moved.unique().tolist()) == {0, 3}
    assert ((image[0] > 1.5) == (moved > 1.5)).float().mean() > 0.99


def test_mirror_flips_image_and_labels_together_on_its_axes_only(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, mirror_axes=(0, 2))
    image = noise_image(1, 4, 5, 6)
    labels = (image[0] > 0).byte()
    seen = set()
    for seed in range(20):
        flipped, flipped_labels = mirror(image, labels, plan, generator(seed))
        assert torch.equal((flipped[0] > 0).byte(), flipped_labels)
        for axes in ((), (0,), (2,), (0, 2)):
            if torch.equal(flipped, image.flip([axis + 1 for axis in axes])):
                seen.add(axes)
    assert seen == {(), (0,), (2,), (0, 2)}


def test_left_and_right_change_names_with_the_axis_between_them(plan_for_balls: Plan) -> None:
    names = {"left": 5, "other": 6, "right": 7}
    plan = dataclasses.replace(
        plan_for_balls, labels=names, mirror_axes=(0, 1), mirror_swaps=(("left", "right"),)
    )
    labels = torch.tensor([1, 2, 0, 3], dtype=torch.uint8)[:, None, None].expand(4, 2, 2)
    image = torch.arange(4.0)[None, :, None, None].expand(1, 4, 2, 2)
    for seed in range(10):
        flipped, found = mirror(image, labels, plan, generator(seed))
        mirrored = flipped[0, 0, 0, 0] == 3
        assert found[:, 0, 0].tolist() == ([1, 0, 2, 3] if mirrored else [1, 2, 0, 3])
        assert found.dtype == torch.uint8


def test_every_element_of_a_group_moves_image_and_labels_together(plan_for_balls: Plan) -> None:
    axes = (0, 1, 2)
    plan = dataclasses.replace(plan_for_balls, training_poses=SymmetryPlan("octahedral24", axes))
    labels = torch.arange(27).view(3, 3, 3).to(torch.uint8)
    image, random = labels[None].float(), generator()
    seen = set()
    for _ in range(200):
        turned, found = move(image, labels, plan, random)
        assert torch.equal(turned[0], found.float())
        seen.add(tuple(found.flatten().tolist()))
    turns = elements("octahedral24", axes, 3)
    expected = {tuple(moved(image[None], turn).flatten().int().tolist()) for turn in turns}
    assert seen == expected


def test_left_and_right_change_names_in_a_reflected_patch(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(
        plan_for_balls,
        labels={"left": 1, "right": 2},
        mirror_swaps=(("left", "right"),),
        training_poses=SymmetryPlan("mirror", (0,)),
    )
    labels = torch.tensor([1, 2, 0, 3], dtype=torch.uint8).view(4, 1, 1)  # 3: not annotated
    drawn = [move(labels[None], labels, plan, generator(number))[1] for number in range(20)]
    assert {tuple(one.flatten().tolist()) for one in drawn} == {(1, 2, 0, 3), (3, 0, 1, 2)}


def test_without_a_group_no_random_number_is_drawn(plan_for_balls: Plan) -> None:
    image, labels, random = noise_image(1, 4, 4, 4), ball(4, 1), generator(7)
    assert move(image, labels, plan_for_balls, random)[0] is image
    assert random.random() == generator(7).random()
