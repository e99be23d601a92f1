"""Reorient a scan to the nearest RAS+ axes, by swaps and flips of axes without interpolation."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.volume import Volume


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
        _nearest(volume) if volume.unit == "mm" else AxisMap((0, 1, 2), (False, False, False))
    )
    affine = volume.affine.copy()
    for axis, (source, flip) in enumerate(zip(axis_map.order, axis_map.flips, strict=True)):
        column = volume.affine[:3, source]
        affine[:3, axis] = -column if flip else column
        if flip:
            affine[:3, 3] += column * (volume.array.shape[source + 1] - 1)
    return Volume(axis_map.apply(volume.array), affine, volume.unit), axis_map


def _nearest(volume: Volume) -> AxisMap:
    directions = volume.affine[:3, :3] / np.array(volume.spacing)
    # Choose the permutation with the largest cosines, rounded so that the first one wins at 45
    # degrees.
    order = max(
        permutations(range(3)),
        key=lambda axes: round(sum(abs(directions[r, a]) for r, a in enumerate(axes)), 6),
    )
    x, y, z = (bool(directions[r, a] < 0) for r, a in enumerate(order))
    return AxisMap((order[0], order[1], order[2]), (x, y, z))
