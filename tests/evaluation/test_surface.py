"""Tests of surface metrics: by hand on cubes, and against MONAI on random blobs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from monai.metrics import (
    compute_average_surface_distance,
    compute_hausdorff_distance,
    compute_surface_dice,
)
from scipy import ndimage

from segkit.evaluation.surface import hd95, surface, surface_dice, surface_distances

ONE = (1.0, 1.0, 1.0)


def cube(start: int, shape: tuple[int, int, int] = (12, 12, 12)) -> np.ndarray:
    mask = np.zeros(shape, bool)
    mask[start : start + 5, 3:8, 3:8] = True
    return mask


def blob(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    return np.asarray(ndimage.gaussian_filter(noise, 2) > 0.03)


def test_surface_of_a_cube_of_five_is_all_but_the_inner_three() -> None:
    assert surface(cube(3)).sum() == 5**3 - 3**3


def test_the_edge_of_the_image_is_outside() -> None:
    full = np.ones((5, 5, 5), bool)
    assert surface(full).sum() == 5**3 - 3**3


def test_identical_masks() -> None:
    assert hd95(cube(3), cube(3), ONE) == 0
    assert surface_dice(cube(3), cube(3), ONE) == 1


def test_a_shift_by_one_voxel_is_one_spacing() -> None:
    assert hd95(cube(3), cube(4), (1.5, 1.0, 1.0)) == 1.5
    assert surface_dice(cube(3), cube(4), ONE, tolerance=1.0) == 1.0
    # Shifted by one, the 4 side faces of 4 * 4 rings still touch: only the far faces (5 * 5 and the
    # inner 3 * 3) moved.
    assert surface_dice(cube(3), cube(4), ONE, tolerance=0.5) == pytest.approx(
        4 * 16 * 2 / (98 * 2)
    )


def test_a_spacing_of_one_as_float32_is_within_one() -> None:
    assert surface_dice(cube(3), cube(4), (1.0000001, 1.0, 1.0), tolerance=1.0) == 1.0


def test_the_mean_distance_weighs_every_surface_voxel_alike() -> None:
    inner = np.zeros((12, 12, 12), bool)
    inner[5, 5, 5] = True  # the center of the cube of 5, whose surface has 98 voxels
    distances = surface_distances(cube(3), inner, ONE)
    axes = np.abs(np.argwhere(surface(cube(3))) - 5)
    total = np.sqrt((axes**2).sum(1)).sum() + 2  # the voxel is 2 away from the surface
    assert distances.mean() == pytest.approx(total / 99)


def test_spacing_belongs_to_its_axis() -> None:
    for axis in range(3):
        spacing = [1.0, 1.0, 1.0]
        spacing[axis] = 3.0
        moved = np.roll(cube(3), 2, axis=axis)
        assert surface_distances(cube(3), moved, spacing).from_prediction.max() == 6.0


def test_masks_at_the_edge_of_the_image_gain_no_surface_from_the_crop() -> None:
    mask = np.zeros((8, 8, 8), bool)
    mask[:4] = True
    far = np.zeros((8, 8, 8), bool)
    far[:5] = True
    padded = [np.pad(m, 3) for m in (mask, far)]
    assert hd95(mask, far, ONE) == hd95(*padded, ONE) == 1.0
    assert surface_dice(mask, far, ONE, tolerance=0.5) == surface_dice(*padded, ONE, tolerance=0.5)


def test_a_picture_has_a_contour_without_flat_sides() -> None:
    square = np.zeros((9, 9, 1), bool)
    square[2:7, 2:7] = True
    inner = np.zeros((9, 9, 1), bool)
    inner[4, 4] = True
    assert surface_distances(square, inner, ONE).from_prediction.size == 16
    assert hd95(square, inner, ONE) == pytest.approx(math.sqrt(8))


def test_one_empty_is_infinite_both_empty_is_no_value() -> None:
    empty = np.zeros((12, 12, 12), bool)
    for pair in ((empty, cube(3)), (cube(3), empty)):
        assert hd95(*pair, ONE) == math.inf
        assert surface_dice(*pair, ONE) == 0
        assert surface_distances(*pair, ONE).mean() == math.inf
    assert math.isnan(surface_distances(empty, empty, ONE).mean())
    assert math.isnan(hd95(empty, empty, ONE))
    assert math.isnan(surface_dice(empty, empty, ONE))


def test_a_single_voxel_image() -> None:
    voxel = np.ones((1, 1, 1), bool)
    assert hd95(voxel, voxel, ONE) == 0


@pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")
@pytest.mark.parametrize(
    ("shape", "spacing"), [((20, 24, 18), (0.7, 1.3, 2.5)), ((30, 26), (0.8, 1.7))]
)
@pytest.mark.parametrize("seed", [0, 7])
def test_agrees_with_monai(shape: tuple[int, ...], spacing: tuple[float, ...], seed: int) -> None:
    ours, theirs = blob(seed, shape), blob(seed + 1, shape)
    one_hot = [torch.from_numpy(mask)[None, None].float() for mask in (ours, theirs)]
    expected = compute_hausdorff_distance(
        *one_hot, include_background=True, percentile=95, spacing=spacing
    )
    assert hd95(ours, theirs, spacing) == pytest.approx(float(expected), rel=1e-5)
    expected = compute_average_surface_distance(
        *one_hot, include_background=True, symmetric=True, spacing=spacing
    )
    assert surface_distances(ours, theirs, spacing).mean() == pytest.approx(float(expected))
    expected = compute_surface_dice(
        *one_hot, class_thresholds=[1.0], include_background=True, spacing=spacing
    )
    assert surface_dice(ours, theirs, spacing, tolerance=1.0) == pytest.approx(
        float(expected), rel=1e-6
    )
