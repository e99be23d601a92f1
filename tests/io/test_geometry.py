"""Affines that cannot be used, and grids that do not fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.geometry import checked_affine, warn_of_shear
from segkit.volume import Grid


def sheared(amount: float) -> NDArray[np.float64]:
    affine = np.diag([2.0, 3.0, 4.0, 1.0])
    affine[0, 1] = amount * 3
    return affine


@pytest.mark.parametrize(
    ("affine", "message"),
    [
        (np.full((4, 4), np.nan), "NaN or infinite numbers"),
        (np.diag([0.0, 1, 1, 1]), "voxel edges of 0 x 1 x 1 mm"),
        (np.diag([1, 1e200, 1, 1]), r"voxel edges of 1 x 1e\+200 x 1 mm"),
        (
            np.array([[1.0, 1, 0, 0], [0, 0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]),
            "point the same way",
        ),
        (sheared(0.1), r"a shear: two axes meet at 84\.3 degrees .* Give the DICOM of a tilted"),
    ],
)
def test_unusable(affine: NDArray[np.float64], message: str) -> None:
    with pytest.raises(InputError, match=message):
        checked_affine("scan", affine)


def test_rounded_rotations_and_large_edges_are_fine() -> None:
    np.testing.assert_array_equal(checked_affine("scan", sheared(0.0009)), sheared(0.0009))
    checked_affine("scan", np.diag([1e-4, 1e3, 1, 1]))


def test_a_small_shear_is_warned_about_once(caplog: pytest.LogCaptureFixture) -> None:
    affine = checked_affine("scan", sheared(math.tan(math.radians(0.3))))
    for _ in range(2):
        warn_of_shear("small shear", Grid((4, 4, 4), affine))
    assert [record.message for record in caplog.records] == [
        "small shear: two voxel axes meet at 89.7 degrees (a small shear in the header); "
        "they are treated as if they met at right angles"
    ]
