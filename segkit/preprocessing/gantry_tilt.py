"""Scans of a tilted gantry: their slices are moved by whole voxels until they stand upright, and moved back after.

Nothing is interpolated: each slice lies within half a voxel of its place, and a label map moved back is exact.
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
class Lean:
    """How the slices of a scan were moved: by (x, y) voxels, one pair for each plane along Z; empty where none was."""

    shape: Shape
    shifts: tuple[tuple[int, int], ...] = ()

    def back(self, array: NDArray[Any]) -> NDArray[Any]:
        """An array (K, X, Y, Z) on the straight grid, on the scan's own."""
        if not self.shifts:
            return array
        x, y, _ = self.shape
        planes = [
            array[:, right : right + x, up : up + y, z] for z, (right, up) in enumerate(self.shifts)
        ]
        return np.stack(planes, axis=-1)


def straightened(volume: Volume, where: str | Path = "scan") -> tuple[Volume, Lean]:
    """The volume with slices moved until Z is at right angles to them, and the way back.

    What a slice does not cover is filled with the lowest value of its channel.

    Raises:
        OutOfMemoryError: the grid that holds the moved slices is too large.
    """
    x, y, z = volume.affine[:3, :3].T
    lean = np.array([z @ x / (x @ x), z @ y / (y @ y)])
    cosines = [abs(z @ axis) / math.sqrt((z @ z) * (axis @ axis)) for axis in (x, y)]
    if volume.unit != "mm" or max(cosines) <= SHEAR:
        return volume, Lean(volume.grid.shape)
    tilt = math.degrees(math.asin(min(1.0, math.hypot(*cosines))))
    log.info(
        "%s: its slices are tilted by %.1f degrees; the network sees them moved upright",
        where,
        tilt,
    )
    steps = np.rint(np.arange(volume.grid.shape[2])[:, None] * lean).astype(int)
    lowest = steps.min(axis=0)
    shifts = tuple((int(right), int(up)) for right, up in steps - lowest)
    affine = volume.affine.copy()
    affine[:3, 2] = z - lean[0] * x - lean[1] * y
    affine[:3, 3] += lowest[0] * x + lowest[1] * y
    return Volume(_moved(volume, shifts, where), affine), Lean(volume.grid.shape, shifts)


def _moved(volume: Volume, shifts: tuple[tuple[int, int], ...], where: str | Path) -> NDArray[Any]:
    x, y, z = volume.grid.shape
    wide, high = (edge + max(shift[axis] for shift in shifts) for axis, edge in enumerate((x, y)))
    needed = volume.channels * wide * high * z * volume.dtype.itemsize
    require_memory(where, needed, f"the {wide} x {high} x {z} voxels of the scan without its tilt")
    moved = np.empty((volume.channels, wide, high, z), volume.dtype)
    moved[...] = volume.array.min(axis=(1, 2, 3), keepdims=True)
    for place, (right, up) in enumerate(shifts):
        moved[:, right : right + x, up : up + y, place] = volume.array[..., place]
    return moved
