"""Place a scan on an upright RAS+ grid, and find its content: undo a tilt, reorient, crop.

Whole voxels are moved or selected, and nothing is interpolated:

* The slices of a tilted CT are shifted onto a rectangular grid. Each slice stays within half a
  voxel of its true position, and shifting a label map back is exact.
* Axes are swapped and flipped to the nearest RAS+ orientation.
* The content is the box inside the constant border. nnU-Net assumes a border of zeros, but the
  border of a scan that is already z-scored may be -3.6.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.memory import blocks, require_memory
from segkit.volume import SHEAR, Box, Grid, Volume

log = logging.getLogger(__name__)

_OTHERS = ((1, 2), (0, 2), (0, 1))
"""The two other axes of each axis X, Y, Z."""


@dataclass(frozen=True, eq=False)
class SliceShifts:
    """Shifts of the slices of a tilted scan, and the grid that results are shifted back to."""

    grid: Grid
    """Grid of the scan as it was given."""
    shifts: tuple[tuple[int, int], ...] = ()
    """Shift (x, y) of each slice in voxels; empty without a tilt."""

    def back(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array on the tilted grid of the scan.

        Args:
            array: array (K, X, Y, Z) on the rectangular grid.
        """
        if not self.shifts:
            return array
        x, y, _ = self.grid.shape
        planes = [
            array[:, right : right + x, up : up + y, z] for z, (right, up) in enumerate(self.shifts)
        ]
        return np.stack(planes, axis=-1)


def without_tilt(volume: Volume, where: str | Path = "scan") -> tuple[Volume, SliceShifts]:
    """Return the volume on a grid whose Z axis is perpendicular to the slices, and the shifts.

    Voxels that no slice covers get the lowest value of their channel. A volume without a tilt is
    returned unchanged.

    Raises:
        OutOfMemoryError: the grid that holds the shifted slices does not fit into memory.
    """
    x, y, z = volume.affine[:3, :3].T
    tilt = np.array([z @ x / (x @ x), z @ y / (y @ y)])
    cosines = [abs(z @ axis) / math.sqrt((z @ z) * (axis @ axis)) for axis in (x, y)]
    if volume.unit != "mm" or max(cosines) <= SHEAR:
        return volume, SliceShifts(volume.grid)
    degrees = math.degrees(math.asin(min(1.0, math.hypot(*cosines))))
    log.info(
        "%s: its slices are tilted by %.1f degrees; for the network they are shifted onto a"
        " rectangular grid",
        where,
        degrees,
    )
    steps = np.rint(np.arange(volume.grid.shape[2])[:, None] * tilt).astype(int)
    lowest = steps.min(axis=0)
    shifts = tuple((int(right), int(up)) for right, up in steps - lowest)
    affine = volume.affine.copy()
    affine[:3, 2] = z - tilt[0] * x - tilt[1] * y
    affine[:3, 3] += lowest[0] * x + lowest[1] * y
    return Volume(_shifted(volume, shifts, where), affine), SliceShifts(volume.grid, shifts)


def _shifted(
    volume: Volume, shifts: tuple[tuple[int, int], ...], where: str | Path
) -> NDArray[Any]:
    x, y, z = volume.grid.shape
    wide, high = (edge + max(shift[axis] for shift in shifts) for axis, edge in enumerate((x, y)))
    needed = volume.channels * wide * high * z * volume.dtype.itemsize
    require_memory(where, needed, f"the {wide} x {high} x {z} voxels of the scan without its tilt")
    shifted = np.empty((volume.channels, wide, high, z), volume.dtype)
    shifted[...] = volume.array.min(axis=(1, 2, 3), keepdims=True)
    for index, (right, up) in enumerate(shifts):
        shifted[:, right : right + x, up : up + y, index] = volume.array[..., index]
    return shifted


@dataclass(frozen=True)
class AxisMap:
    """Permutation and flips of axes.

    Source axis ``order[r]`` becomes axis r, which is reversed if ``flips[r]``.
    """

    order: tuple[int, int, int]
    flips: tuple[bool, bool, bool]

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return a view in RAS+ order of an array (K, X, Y, Z) in source order."""
        permuted = array.transpose(0, *(axis + 1 for axis in self.order))
        return permuted[(slice(None), *self._steps())]

    def _steps(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)


def to_ras(volume: Volume) -> tuple[Volume, AxisMap]:
    """Return the volume in the nearest RAS+ orientation, and the map from its axes.

    Pictures (unit px) have no such directions and are returned unchanged.
    """
    axis_map = (
        _nearest_axes(volume) if volume.unit == "mm" else AxisMap((0, 1, 2), (False, False, False))
    )
    affine = volume.affine.copy()
    for axis, (source, flip) in enumerate(zip(axis_map.order, axis_map.flips, strict=True)):
        column = volume.affine[:3, source]
        affine[:3, axis] = -column if flip else column
        if flip:
            affine[:3, 3] += column * (volume.array.shape[source + 1] - 1)
    return Volume(axis_map.apply(volume.array), affine, volume.unit), axis_map


def _nearest_axes(volume: Volume) -> AxisMap:
    directions = volume.affine[:3, :3] / np.array(volume.spacing)
    # Choose the permutation with the largest cosines, rounded so that the first one wins at 45
    # degrees.
    order = max(
        permutations(range(3)),
        key=lambda axes: round(sum(abs(directions[r, a]) for r, a in enumerate(axes)), 6),
    )
    x, y, z = (bool(directions[r, a] < 0) for r, a in enumerate(order))
    return AxisMap((order[0], order[1], order[2]), (x, y, z))


def border_values(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return the corner value of each channel of (C, X, Y, Z); None if corners differ."""
    # Read only single voxels: a plane across X would load every page of a mapped file.
    x, y, z = np.ix_([0, -1], [0, -1], [0, -1])
    corners = np.asarray(array[:, x, y, z]).reshape(array.shape[0], -1)
    values = corners[:, 0]
    return None if np.any(corners != values[:, None]) else values


def differs(part: NDArray[Any], values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the mask of voxels that differ from the border in any channel.

    Args:
        part: part (C, X, Y, Z) of a scan.
        values: border value of each channel.
    """
    mask: NDArray[np.bool_] = part[0] != values[0]
    for channel, value in zip(part[1:], values[1:], strict=True):
        mask |= channel != value
    return mask


def content_mask(array: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return the mask (X, Y, Z) of voxels that differ from the constant border in any channel.

    The result is None if there is no such border: the eight corners differ in some channel.

    Args:
        array: voxels (C, X, Y, Z).
    """
    values = border_values(array)
    if values is None:
        return None
    mask = np.empty(array.shape[1:], np.bool_)
    for box, block_mask in _content_blocks(array, values):
        mask[box] = block_mask
    return mask


def content_box(array: NDArray[Any]) -> Box:
    """Return the box around `content_mask`; the whole grid if there is no border or no content."""
    values = border_values(array)
    if values is None:
        return mask_box(None, array.shape[1:])
    projections = [np.zeros(size, np.bool_) for size in array.shape[1:]]
    for box, mask in _content_blocks(array, values):
        for projection, span, others in zip(projections, box, _OTHERS, strict=True):
            projection[span] |= np.any(mask, axis=others)
    return _box(projections)


def _content_blocks(
    array: NDArray[Any], values: NDArray[Any]
) -> Iterator[tuple[tuple[slice, ...], NDArray[np.bool_]]]:
    """Yield boxes that together cover a scan, each with the mask of its content."""
    for box in blocks(array[0]):
        yield box, differs(array[:, *box], values)


def mask_box(mask: NDArray[np.bool_] | None, shape: tuple[int, ...]) -> Box:
    """Return the smallest box around a mask (X, Y, Z); the whole grid for None or an empty mask."""
    if mask is None:
        return (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    return _box([np.any(mask, axis=others) for others in _OTHERS])


def _box(projections: Sequence[NDArray[np.bool_]]) -> Box:
    """Return the box of a mask, given its projections onto X, Y and Z."""
    x, y, z = (_span(line) if line.any() else slice(0, len(line)) for line in projections)
    return (x, y, z)


def _span(line: NDArray[np.bool_]) -> slice:
    inside = np.flatnonzero(line)
    return slice(int(inside[0]), int(inside[-1]) + 1)
