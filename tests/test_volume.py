"""Grid and Volume: what is derived from voxels and affine."""

from __future__ import annotations

import numpy as np
import pytest

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


def test_with_array_keeps_the_geometry() -> None:
    volume = Volume(np.zeros((1, 2, 2, 2)), np.diag([2.0, 2.0, 2.0, 1.0]), "px")
    changed = volume.with_array(np.ones((3, 2, 2, 2)))
    assert (changed.spacing, changed.unit, changed.channels) == ((2.0, 2.0, 2.0), "px", 3)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must have the axes \(C, X, Y, Z\)"):
        Volume(np.zeros((2, 2, 2)), np.eye(4))
    with pytest.raises(ValueError, match=r"affine must have shape \(4, 4\)"):
        Volume(np.zeros((1, 2, 2, 2)), np.eye(3))
