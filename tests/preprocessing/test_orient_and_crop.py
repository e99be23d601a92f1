"""Undo a tilt of the gantry, reorient to RAS+, and find the content, in hand-made scans."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes

from segkit.errors import OutOfMemoryError
from segkit.preprocessing.orient_and_crop import (
    AxisMap,
    content_box,
    content_mask,
    to_ras,
    without_tilt,
)
from segkit.volume import Volume

UPRIGHT = np.diag([0.5, 2.0, 3.0, 1.0])
ORIENTATIONS = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]
WHOLE = (slice(0, 5), slice(0, 6), slice(0, 7))


def leaning(x: float, y: float) -> Volume:
    """Slices of 2 x 3 voxels, each moved by (x, y) mm against the one below."""
    affine = UPRIGHT.copy()
    affine[:2, 2] = x, y
    return Volume(np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4) + 5, affine)


def test_upright_scan_stays() -> None:
    volume = leaning(0, 0)
    straight, lean = without_tilt(volume)
    assert straight is volume
    assert lean.back(volume.array) is volume.array


def test_whole_voxels() -> None:
    """1 mm along X are 2 voxels, -2 mm along Y 1: the fourth slice moves by 6, and down by 3."""
    volume = leaning(1, -2)
    straight, lean = without_tilt(volume)
    assert lean.shifts == ((0, 3), (2, 2), (4, 1), (6, 0))
    assert straight.array.shape == (1, 8, 6, 4)
    np.testing.assert_allclose(
        straight.affine, [[0.5, 0, 0, 0], [0, 2, 0, -6], [0, 0, 3, 0], [0, 0, 0, 1]]
    )
    np.testing.assert_array_equal(straight.array[0, 4:6, 1:4, 2], volume.array[0, ..., 2])
    assert straight.array[0, 0, 0, 3] == 5  # outside of the slice: the lowest value
    np.testing.assert_array_equal(lean.back(straight.array), volume.array)


def test_every_voxel_stays_within_half_a_voxel_of_its_place() -> None:
    volume = leaning(0.4, 0.7)
    straight, lean = without_tilt(volume)
    for z, (right, up) in enumerate(lean.shifts):
        moved = straight.affine @ (1 + right, 2 + up, z, 1) - volume.affine @ (1, 2, z, 1)
        assert np.abs(moved[:2] / (0.5, 2.0)).max() <= 0.5 + 1e-9
        assert moved[2] == 0


def test_grid_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segkit.io.memory.available_memory", lambda: 100)
    with pytest.raises(
        OutOfMemoryError, match="scan: the 8 x 6 x 4 voxels of the scan without its tilt take 384"
    ):
        without_tilt(leaning(1, -2))


def oriented(order: tuple[int, ...], signs: tuple[int, ...]) -> np.ndarray:
    """An affine whose voxel axis a points along world axis order[a], with edges 1, 2, 3."""
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * (axis + 1)
    affine[:3, 3] = 10, -20, 30
    return affine


def rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    a, b, c = np.radians(degrees)
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    return x @ y @ z


def world_of(volume: Volume) -> np.ndarray:
    """World position of the voxel of value 7."""
    index = np.argwhere(volume.array[0] == 7)[0]
    return (volume.affine @ [*index, 1])[:3]


@pytest.mark.parametrize(("order", "signs"), ORIENTATIONS)
def test_all_48_orientations_come_to_ras_and_back(
    order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    array = np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4)
    volume = Volume(array, oriented(order, signs))
    turned, axis_map = to_ras(volume)
    assert aff2axcodes(turned.affine) == ("R", "A", "S")
    np.testing.assert_allclose(world_of(turned), world_of(volume))
    back = np.zeros_like(array)
    axis_map.apply(back)[...] = turned.array
    np.testing.assert_array_equal(back, array)


@settings(max_examples=50, deadline=None)
@given(st.tuples(*[st.floats(-180, 180)] * 3), st.sampled_from(ORIENTATIONS))
def test_oblique_scans_keep_every_voxel_where_it_is(
    degrees: tuple[float, float, float], orientation: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    affine = oriented(*orientation)
    affine[:3] = rotation(degrees) @ affine[:3]
    volume = Volume(np.arange(24).reshape(1, 2, 3, 4), affine)
    turned, axis_map = to_ras(volume)
    np.testing.assert_allclose(world_of(turned), world_of(volume), atol=1e-9)
    np.testing.assert_array_equal(axis_map.apply(volume.array), turned.array)
    cosines = np.diag(turned.affine[:3, :3] / np.linalg.norm(turned.affine[:3, :3], axis=0))
    assert cosines.sum() >= 1


def test_at_45_degrees_every_axis_is_used_once() -> None:
    affine = np.eye(4)
    affine[:3, :3] = rotation((0, 0, 45))
    assert sorted(to_ras(Volume(np.zeros((1, 2, 3, 4)), affine))[1].order) == [0, 1, 2]


def test_pictures_are_not_turned() -> None:
    picture = Volume(np.zeros((3, 4, 5, 1)), np.diag([-1.0, 1, 1, 1]), "px")
    assert to_ras(picture)[1] == AxisMap((0, 1, 2), (False, False, False))


def test_the_box_holds_all_that_differs_from_the_corners() -> None:
    array = np.full((2, 5, 6, 7), -3.6, dtype=np.float32)
    array[0, 1, 2, 3] = 0
    array[1, 3, 2, 4] = 1
    assert content_box(array) == (slice(1, 4), slice(2, 3), slice(3, 5))


def test_different_corners_mean_no_border() -> None:
    array = np.zeros((1, 5, 6, 7))
    array[0, 4, 5, 6] = 1
    assert content_mask(array) is None
    assert content_box(array) == WHOLE


def test_a_constant_scan_stays_whole() -> None:
    assert content_box(np.ones((1, 5, 6, 7))) == WHOLE


def test_a_picture_has_four_corners() -> None:
    array = np.zeros((1, 5, 6, 1))
    array[0, 2, 3, 0] = 9
    assert content_box(array) == (slice(2, 3), slice(3, 4), slice(0, 1))
