"""Conversion of a numpy array, with a spacing or affine from the caller, to a Volume."""

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
    """Return a numpy array as a Volume.

    Args:
        array: finite real numbers with the axes (X, Y, Z), (C, X, Y, Z) or, for one plane, (X, Y).
        channels: number of channels that the array must have.
        unit: "px" for pictures, which need neither ``spacing`` nor ``affine``.
        spacing: voxel spacing in mm along X, Y, Z; the axes then point to right, anterior and
            superior.
        affine: matrix (4, 4) from voxel index (x, y, z) to mm in RAS+.

    >>> volume_of_array(np.zeros((4, 5, 6)), spacing=(1, 1, 2.5))
    Volume(4 x 5 x 6 voxels of 1 x 1 x 2.5 mm, 1 channel, float64)

    Raises:
        InputError: the array has another number of axes or channels, values that are not real
            numbers, or masked voxels; or the spacing or affine cannot be used.
        UsageError: a scan has neither ``spacing`` nor ``affine``, or both are given.
    """
    if np.ma.is_masked(array):
        raise InputError(
            WHERE,
            expected="a value for each voxel",
            found=f"{np.count_nonzero(np.ma.getmaskarray(array))} masked voxels",
            remedy="Fill the masked voxels first, for example by array.filled(0).",
        )
    voxels = _with_four_axes(np.asarray(array), channels)
    check_finite(WHERE, voxels)
    return Volume(voxels, _affine(unit, spacing, affine), unit)


def _with_four_axes(array: NDArray[Any], channels: int) -> NDArray[Any]:
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
    if array.ndim == 4:
        voxels = array
    else:
        x, y, z = (*array.shape, 1)[:3]
        voxels = array.reshape(1, x, y, z)
    if len(voxels) != channels:
        remedy = "Give all channels, in their order."
        if array.ndim == 4 and array.shape[-1] == channels:
            remedy = "Move the channels to the front: np.moveaxis(array, -1, 0)."
        raise InputError(
            WHERE,
            expected=f"{_channel_count(channels)} and {AXES}",
            found=f"{_channel_count(len(voxels))}: the shape {shape}",
            remedy=remedy,
        )
    return voxels.astype(np.uint8) if voxels.dtype == np.bool_ else voxels


def _channel_count(count: int) -> str:
    return f"{count} channels" if count > 1 else f"{count} channel"


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
    """Return the values as an array; it is empty, and so refused, if they are not real numbers."""
    try:
        return np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        return np.empty(0)
