from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nibabel.orientations import aff2axcodes

from segkit.preprocessing.orient import AxisMap, to_ras
from segkit.volume import Volume

ORIENTATIONS = [
    (order, signs) for order in permutations(range(3)) for signs in product((1, -1), repeat=3)
]


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
