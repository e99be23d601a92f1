"""Grid and Volume: properties that follow from voxels and affine."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np
import pytest

from segkit.io import from_object
from segkit.volume import Grid, Volume


def test_spacing_is_the_length_of_the_affines_columns() -> None:
    affine = np.array([[0, -2.0, 0, 5], [3.0, 0, 0, 6], [0, 0, 1.5, 7], [0, 0, 0, 1]])
    assert Grid((2, 3, 4), affine).spacing == (3.0, 2.0, 1.5)


def test_voxels_and_corners() -> None:
    grid = Grid((2, 3, 4), np.diag([1.0, 2.0, 3.0, 1.0]))
    assert grid.voxels == 24
    assert grid.corners().shape == (8, 3)
    np.testing.assert_array_equal(grid.corners().max(axis=0), [1, 4, 9])


@pytest.mark.parametrize(("shift", "same"), [(0.04, True), (0.06, False)])
def test_grids_match_within_a_twentieth_of_a_voxel(shift: float, same: bool) -> None:
    moved = np.eye(4)
    moved[0, 3] = shift
    assert Grid((4, 4, 4), np.eye(4)).matches(Grid((4, 4, 4), moved)) is same


def test_other_shape_never_matches() -> None:
    assert not Grid((4, 4, 4), np.eye(4)).matches(Grid((4, 4, 5), np.eye(4)))


def test_volume_is_a_source_of_planes() -> None:
    volume = Volume(np.arange(24).reshape(1, 2, 3, 4), np.eye(4), "px")
    assert (volume.channels, volume.dtype, volume.grid.shape, volume.grid.unit) == (
        1,
        volume.array.dtype,
        (2, 3, 4),
        "px",
    )
    np.testing.assert_array_equal(volume.planes(1, 3), volume.array[..., 1:3])


def test_with_array_keeps_affine_and_unit() -> None:
    volume = Volume(np.zeros((1, 2, 2, 2)), np.diag([2.0, 2.0, 2.0, 1.0]), "px")
    changed = volume.with_array(np.ones((3, 2, 2, 2)))
    assert (changed.spacing, changed.unit, changed.channels) == ((2.0, 2.0, 2.0), "px", 3)


def test_repr_of_a_volume() -> None:
    volume = Volume(np.zeros((2, 512, 512, 30), np.int16), np.diag([0.703125, 0.703125, 2.5, 1.0]))
    assert (
        repr(volume)
        == "Volume(512 x 512 x 30 voxels of 0.7031 x 0.7031 x 2.5 mm, 2 channels, int16)"
    )
    picture = Volume(np.zeros((1, 7, 5, 1), np.uint8), np.eye(4), "px")
    assert repr(picture) == "Volume(7 x 5 x 1 voxels of 1 x 1 x 1 px, 1 channel, uint8)"


def affines() -> Iterator[np.ndarray]:
    """Yield affines of all 48 orders and directions of the axes, and an oblique one of each."""
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    for order, signs in product(permutations(range(3)), product((1, -1), repeat=3)):
        affine = np.eye(4)
        affine[:3, :3] = np.eye(3)[:, list(order)] * signs * [0.8, 1.25, 3.0]
        affine[:3, 3] = (5.5, -7.25, 11.125)
        yield affine
        affine = affine.copy()
        affine[:3, :3] = turn @ affine[:3, :3]
        yield affine


def test_nibabel_and_simpleitk_put_every_voxel_where_the_volume_has_it() -> None:
    array = np.arange(24, dtype=np.int16).reshape(1, 2, 3, 4)
    for affine in affines():
        volume = Volume(array, affine)
        world = affine @ (1, 2, 3, 1)
        nib, itk = volume.to_nibabel(), volume.to_sitk()
        assert np.array_equal(nib.affine, affine)
        np.testing.assert_allclose(nib.header.get_best_affine(), affine, atol=1e-6)
        assert np.array_equal(np.asarray(nib.dataobj), array[0])
        np.testing.assert_allclose(
            itk.TransformIndexToPhysicalPoint((1, 2, 3)), world[:3] * (-1, -1, 1), atol=1e-12
        )
        assert itk[1, 2, 3] == array[0, 1, 2, 3]
        for image in (nib, itk):
            back = from_object(image)
            np.testing.assert_allclose(back.affine, affine, atol=1e-12)
            assert np.array_equal(back.array, array)


@pytest.mark.parametrize("dtype", [np.bool_, np.float16, np.int64, np.uint16, np.float64, ">i2"])
def test_channels_and_types_of_images(dtype: str) -> None:
    volume = Volume(np.ones((2, 3, 4, 5), dtype), np.eye(4))
    assert volume.to_nibabel().shape == (3, 4, 5, 2)
    assert volume.to_sitk().GetNumberOfComponentsPerPixel() == 2
    assert np.array_equal(from_object(volume.to_nibabel()).array, volume.array)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must have the axes \(C, X, Y, Z\)"):
        Volume(np.zeros((2, 2, 2)), np.eye(4))
    with pytest.raises(ValueError, match=r"affine must have shape \(4, 4\)"):
        Volume(np.zeros((1, 2, 2, 2)), np.eye(3))
