"""Each change has its intended effect, and labels stay integer."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from segkit.config import AugmentConfig
from segkit.plans import Plan
from segkit.training.augment import (
    Placement,
    add_noise,
    augment_intensity,
    blur,
    change_contrast,
    change_gamma,
    draw_placement,
    mirror,
    resample_patch,
)

NONE = AugmentConfig(
    rotate=0, scale=0, noise=0, blur=0, brightness=0, contrast=0, gamma=0, gamma_inverted=0, mirror="none"
)


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(seed))


def noise_image(*shape: int) -> torch.Tensor:
    return torch.from_numpy(generator(5).standard_normal(shape, dtype=np.float32))


def ball(size: int, radius: float) -> torch.Tensor:
    axis = torch.arange(size) - (size - 1) / 2
    return (axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + axis[None, None, :] ** 2 <= radius**2).long()


def placed(labels: torch.Tensor, matrix: np.ndarray, patch: tuple[int, int, int]) -> torch.Tensor:
    return resample_patch(labels[None].float(), labels, Placement(matrix), patch)[1]


def test_no_probability_changes_nothing(plan_for_balls: Plan) -> None:
    image = noise_image(1, 6, 6, 6)
    assert torch.equal(augment_intensity(image, NONE, None, generator()), image)
    assert draw_placement(plan_for_balls, NONE, generator()).matrix is None


def test_identity_placement_returns_the_box() -> None:
    labels = ball(8, 3)
    assert torch.equal(placed(labels, np.eye(3), (8, 8, 8)), labels)


def test_scaling_by_two_enlarges_a_ball_eightfold(plan_for_balls: Plan) -> None:
    config = dataclasses.replace(NONE, scale=1.0, scale_range=[2.0, 2.0])
    matrix = draw_placement(plan_for_balls, config, generator()).matrix
    labels = ball(40, 8)
    assert placed(labels, matrix, (40, 40, 40)).sum().item() == pytest.approx(8 * labels.sum().item(), rel=0.05)


def test_rotation_turns_a_bar_by_the_drawn_angle() -> None:
    bar = torch.zeros(31, 31, 31, dtype=torch.long)
    bar[:, 15, 15] = 1
    quarter = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]])
    turned = placed(bar, quarter, (31, 31, 31))
    assert turned[15, :, 15].all()
    assert turned.sum() == 31


def test_rotation_is_rigid_in_mm_on_anisotropic_voxels(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, spacing=(1.0, 1.0, 4.0))
    config = dataclasses.replace(NONE, rotate=1.0)
    matrix = draw_placement(plan, config, generator()).matrix
    spacing = np.array([1.0, 1.0, 4.0])
    in_mm = matrix * spacing[:, None] / spacing[None, :]
    assert in_mm @ in_mm.T == pytest.approx(np.eye(3), abs=1e-9)
    assert np.abs(in_mm - np.eye(3)).max() > 0.05


def test_a_2d_plan_turns_in_plane_only(plan_for_balls: Plan) -> None:
    plan = dataclasses.replace(plan_for_balls, dims=2, slice_axis=1, patch=(8, 1, 8))
    matrix = draw_placement(plan, dataclasses.replace(NONE, rotate=1.0, scale=1.0), generator()).matrix
    assert matrix[1] == pytest.approx([0, 1, 0])
    assert matrix[:, 1] == pytest.approx([0, 1, 0])


@pytest.mark.parametrize("seed", range(8))
def test_every_sample_lies_inside_the_reach(seed: int, plan_for_balls: Plan) -> None:
    config = dataclasses.replace(NONE, rotate=1.0, scale=1.0)
    placement = draw_placement(plan_for_balls, config, generator(seed))
    reach = placement.reach((8, 8, 6))
    filled = torch.ones(1, *(int(n) for n in reach))
    image, _ = resample_patch(filled, filled[0].long(), placement, (8, 8, 6))
    assert image.min().item() == pytest.approx(1, abs=1e-5)


def test_labels_stay_integer_and_known(plan_for_balls: Plan) -> None:
    labels = torch.from_numpy(generator().integers(0, 4, (24, 24, 24)))
    config = dataclasses.replace(NONE, rotate=1.0, scale=1.0)
    moved = placed(labels, draw_placement(plan_for_balls, config, generator()).matrix, (12, 12, 12))
    assert moved.dtype == torch.int64
    assert set(moved.unique().tolist()) <= {0, 1, 2, 3}


def test_noise_has_the_asked_standard_deviation() -> None:
    assert add_noise(torch.zeros(1, 40, 40, 40), 0.2, generator()).std().item() == pytest.approx(0.2, rel=0.02)


def test_blur_weakens_a_voxel_but_keeps_its_sum_and_the_mean() -> None:
    point = torch.zeros(1, 15, 15, 15)
    point[0, 7, 7, 7] = 1
    blurred = blur(point, 1.0)
    assert blurred.sum().item() == pytest.approx(1, abs=1e-5)
    assert blurred.max().item() == pytest.approx((1 / np.sqrt(2 * np.pi)) ** 3, rel=0.02)
    assert torch.allclose(blur(torch.ones(2, 5, 5, 5), 0.7), torch.ones(2, 5, 5, 5))


def test_blur_leaves_the_slice_axis_alone() -> None:
    point = torch.zeros(1, 9, 9, 9)
    point[0, 4, 4, 4] = 1
    assert blur(point, 1.0, slice_axis=2)[..., 3].sum() == 0


def test_contrast_scales_the_spread_about_the_mean() -> None:
    image = noise_image(1, 20, 20, 20)
    changed = change_contrast(image, 0.8)
    assert changed.std().item() == pytest.approx(0.8 * float(image.std()), rel=1e-3)
    assert changed.mean().item() == pytest.approx(float(image.mean()), abs=1e-3)
    assert change_contrast(image, 1.25).max() <= image.max()


def test_gamma_bends_but_keeps_mean_and_deviation() -> None:
    image = noise_image(2, 12, 12, 12)
    bent = change_gamma(image, 1.5)
    assert torch.allclose(bent.mean((1, 2, 3)), image.mean((1, 2, 3)), atol=1e-4)
    assert torch.allclose(bent.std((1, 2, 3)), image.std((1, 2, 3)), atol=1e-3)
    skew = ((bent - bent.mean()) ** 3).mean() - ((image - image.mean()) ** 3).mean()
    assert skew > 0.1


def test_gamma_leaves_a_constant_patch_finite() -> None:
    assert torch.isfinite(change_gamma(torch.full((1, 4, 4, 4), 3.0), 0.7)).all()


def test_brightness_multiplies() -> None:
    config = dataclasses.replace(NONE, brightness=1.0, brightness_range=[1.5, 1.5])
    image = noise_image(1, 5, 5, 5)
    assert torch.allclose(augment_intensity(image, config, None, generator()), 1.5 * image)


def test_mirror_flips_image_and_labels_together_on_its_axes_only() -> None:
    image = noise_image(1, 4, 5, 6)
    labels = (image[0] > 0).long()
    seen = set()
    for seed in range(20):
        flipped, flipped_labels = mirror(image, labels, (0, 2), generator(seed))
        assert torch.equal((flipped[0] > 0).long(), flipped_labels)
        for axes in ((), (0,), (2,), (0, 2)):
            if torch.equal(flipped, image.flip([axis + 1 for axis in axes])):
                seen.add(axes)
    assert seen == {(), (0,), (2,), (0, 2)}
