from __future__ import annotations

import numpy as np
import pytest

from segkit.errors import OutOfMemoryError
from segkit.preprocessing.gantry_tilt import without_tilt
from segkit.volume import Volume

UPRIGHT = np.diag([0.5, 2.0, 3.0, 1.0])


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
    monkeypatch.setattr("segkit.io.limits.available_memory", lambda: 100)
    with pytest.raises(
        OutOfMemoryError, match="scan: the 8 x 6 x 4 voxels of the scan without its tilt take 384"
    ):
        without_tilt(leaning(1, -2))
