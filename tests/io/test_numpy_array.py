"""Numpy arrays as scans: axes, spacing and affine, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from segkit.errors import InputError, UsageError
from segkit.io import from_object
from segkit.volume import Volume

SCAN = np.arange(24.0).reshape(2, 3, 4)


def test_spacing_goes_along_the_axes_of_the_array() -> None:
    volume = from_object(SCAN, spacing=(0.5, 1, 3))
    assert (volume.array.shape, volume.spacing, volume.unit) == (
        (1, 2, 3, 4),
        (0.5, 1.0, 3.0),
        "mm",
    )
    assert np.array_equal(volume.affine, np.diag([0.5, 1, 3, 1]))
    assert np.array_equal(volume.array[0], SCAN)


def test_an_affine_is_kept() -> None:
    affine = np.array([[0, -2.0, 0, 5], [3.0, 0, 0, 6], [0, 0, 1.5, 7], [0, 0, 0, 1]])
    volume = from_object(np.stack([SCAN, SCAN]), affine=affine.tolist(), channels=2)
    assert (volume.channels, volume.array.dtype) == (2, np.float64)
    assert np.array_equal(volume.affine, affine)


def test_a_picture_needs_no_spacing() -> None:
    assert from_object(np.zeros((7, 5), np.uint8), unit="px").grid.shape == (7, 5, 1)
    assert from_object(np.zeros((7, 5), bool), unit="px").array.dtype == np.uint8


@pytest.mark.parametrize(
    ("array", "more", "message"),
    [
        (
            np.zeros((5, 5, 5, 5, 5)),
            {},
            r"expected the axes \(X, Y, Z\).* found 5 axes: the shape 5 x 5 x 5 x 5 x 5",
        ),
        (np.zeros(5), {}, "found 1 axes: the shape 5"),
        (
            np.zeros((9, 8, 7, 2)),
            {"channels": 2},
            r"found 9 channels.*to the front: np.moveaxis\(array, -1, 0\)",
        ),
        (
            np.zeros((3, 8, 7, 6)),
            {},
            "expected 1 channel and the axes .* found 3 channels: the shape 3 x 8 x 7 x 6",
        ),
        (
            SCAN,
            {"channels": 2},
            r"expected 2 channels .* found 1 channel: .*\. Give all channels, in their order",
        ),
        (SCAN * 1j, {}, "expected real numbers, found the type complex128"),
        (np.full((2, 2, 2), "a"), {}, "expected real numbers"),
        (
            np.ma.masked_equal(np.arange(8).reshape(2, 2, 2), 3),
            {},
            r"found 1 masked voxels\. .*array\.filled\(0\)",
        ),
        (
            np.full((2, 2, 2), np.nan),
            {},
            "numpy array: expected a number in every voxel, found 8 of 8",
        ),
        (
            SCAN,
            {"spacing": (1, 1)},
            "spacing: expected three edge lengths in mm above 0, along X, Y and Z",
        ),
        (SCAN, {"spacing": (1, 0, 1)}, "three edge lengths"),
        (SCAN, {"spacing": "x"}, "three edge lengths .* found x"),
        (SCAN, {"spacing": None, "affine": [["x"]]}, "affine: expected an affine"),
        (
            SCAN,
            {"spacing": None, "affine": np.zeros((4, 4))},
            "affine: expected an affine that places every voxel",
        ),
        (SCAN, {"spacing": None, "affine": np.eye(3)}, r"found numbers of shape \(3, 3\)"),
    ],
)
def test_arrays_that_are_no_scans(array: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_object(array, **{"spacing": (1, 1, 1), **more})


def test_a_spacing_that_is_missing_or_superfluous() -> None:
    with pytest.raises(UsageError, match=r"give spacing=\(x, y, z\) in mm, or affine="):
        from_object(SCAN)
    with pytest.raises(UsageError, match="either spacing= or affine="):
        from_object(SCAN, spacing=(1, 1, 1), affine=np.eye(4))
    with pytest.raises(UsageError, match="are for numpy arrays; a Volume has its own geometry"):
        from_object(Volume(SCAN[None], np.eye(4)), spacing=(1, 1, 1))
    with pytest.raises(UsageError, match="a numpy array or a Volume, not list"):
        from_object([1, 2])
