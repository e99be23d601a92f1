"""A numpy array, whose place in the world the caller says, as a Volume."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segkit.errors import InputError, UsageError
from segkit.io.geometry import checked_affine
from segkit.io.limits import check_finite
from segkit.volume import Unit, Volume

WHERE = "numpy array"
AXES = "the axes (X, Y, Z), or (C, X, Y, Z) with channels"


def volume_of_array(
    array: NDArray[Any],
    *,
    channels: int = 1,
    unit: Unit = "mm",
    spacing: Sequence[float] | None = None,
    affine: ArrayLike | None = None,
) -> Volume:
    """Return a Volume of an array (X, Y, Z), (C, X, Y, Z) or, with one plane, (X, Y).

    Args:
        array: numbers that are finite and real.
        channels: number of channels that are expected.
        unit: ``px`` is for pictures, which need neither ``spacing`` nor ``affine``.
        spacing: edge lengths of a voxel in mm along X, Y, Z, which then point to right, anterior and superior.
        affine: (4, 4), voxel index (x, y, z) to mm in RAS+.

    Raises:
        InputError: another number of axes or channels, no real numbers, masked voxels, or a geometry that cannot be
            used.
        UsageError: neither ``spacing`` nor ``affine`` for a scan, or both.
    """
    if np.ma.is_masked(array):
        raise InputError(
            WHERE,
            expected="a value of each voxel",
            found=f"{np.count_nonzero(np.ma.getmaskarray(array))} masked ones",
            remedy="Say what stands there, for example array.filled(0).",
        )
    voxels = _with_channels(np.asarray(array), channels)
    check_finite(WHERE, voxels)
    return Volume(voxels, _affine(unit, spacing, affine), unit)


def _with_channels(array: NDArray[Any], channels: int) -> NDArray[Any]:
    """Return (C, X, Y, Z)."""
    shape = " x ".join(map(str, array.shape)) or "of no axis"
    if array.dtype.kind not in "iufb":
        raise InputError(
            WHERE,
            expected="real numbers",
            found=f"the type {array.dtype}",
            remedy="Convert the array.",
        )
    if array.ndim not in (2, 3, 4):
        raise InputError(
            WHERE,
            expected=AXES,
            found=f"{array.ndim} axes: the shape {shape}",
            remedy="Give one scan at a time, without an axis for a batch.",
        )
    voxels = array if array.ndim == 4 else array.reshape(1, *array.shape, *(1,) * (3 - array.ndim))
    if len(voxels) != channels:
        last = array.ndim == 4 and array.shape[-1] == channels
        front = "Move the channels to the front: np.moveaxis(array, -1, 0)."
        raise InputError(
            WHERE,
            expected=f"{channels} channel{'s' if channels > 1 else ''} and {AXES}",
            found=f"{len(voxels)} channel{'s' if len(voxels) > 1 else ''}: the shape {shape}",
            remedy=front if last else "Give all channels, in their order.",
        )
    return voxels.astype(np.uint8) if voxels.dtype == np.bool_ else voxels


def _affine(
    unit: Unit, spacing: Sequence[float] | None, affine: ArrayLike | None
) -> NDArray[np.float64]:
    if spacing is not None and affine is not None:
        raise UsageError("give either spacing= or affine= with a numpy array, not both")
    if affine is not None:
        return checked_affine("affine", _numbers(affine), tilt=True)
    if spacing is None:
        if unit == "px":
            return np.eye(4)
        raise UsageError(
            "a numpy array does not say how large its voxels are: "
            "give spacing=(x, y, z) in mm, or affine= (4 x 4, to mm in RAS+)"
        )
    edges = _numbers(spacing)
    if edges.shape != (3,) or not np.all(edges > 0):
        raise InputError(
            "spacing",
            expected="three edge lengths in mm above 0, along X, Y and Z",
            found=str(spacing),
            remedy="Give spacing=(x, y, z) in the order of the array's axes.",
        )
    return checked_affine("spacing", np.diag([*edges, 1.0]))


def _numbers(values: ArrayLike) -> NDArray[np.float64]:
    """Return an array; one without elements, which is no geometry, where not all values are real numbers."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty(0)
