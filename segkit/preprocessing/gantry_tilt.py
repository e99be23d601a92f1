"""Tilted CT: shift slices by whole voxels onto a rectangular grid, and shift results back.

Nothing is interpolated: each slice stays within half a voxel of its true position, and shifting a
label map back is exact.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.limits import require_memory
from segkit.volume import SHEAR, Shape, Volume

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SliceShifts:
    """Shifts (x, y) in voxels of each slice of a tilted scan; empty without a tilt."""

    shape: Shape
    shifts: tuple[tuple[int, int], ...] = ()

    def back(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array on the tilted grid of the scan.

        Args:
            array: array (K, X, Y, Z) on the rectangular grid.
        """
        if not self.shifts:
            return array
        x, y, _ = self.shape
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
        return volume, SliceShifts(volume.grid.shape)
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
    return Volume(_shifted(volume, shifts, where), affine), SliceShifts(volume.grid.shape, shifts)


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
