"""Distances between the surfaces of two masks on one grid.

Surface: the voxels of a mask that share a face with a voxel outside it; what lies beyond the image counts as outside.
Along an axis with one voxel only there are no faces, so a picture has a contour, not two flat sides.
Distances run between voxel centres, in the unit of ``spacing``. These are the definitions of MONAI (without
subvoxels); surface areas weigh nothing, unlike in DeepMind's surface-distance, whose values differ a little.

Where only part of an image is annotated, a surface voxel counts only if it shares a face with an annotated voxel
outside the mask: what lies behind a cut is not known. The border of the image counts where the voxel's neighbor on the
other side is annotated, so slices that are annotated one by one have contours and no flat sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import edt
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]
PERCENTILE = 95
SLACK = 1e-4
"""Relative: a voxel edge of 1 mm is often 1.0000001 mm in a file, and must still lie within 1 mm."""


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distance of every surface voxel of one mask to the nearest surface voxel of the other."""

    to_reference: NDArray[np.float32]
    to_prediction: NDArray[np.float32]

    def hd95(self) -> float:
        """The larger of the 95th percentiles of the two directions; infinite where one mask is empty."""
        if self._empty():
            return math.nan
        if self._one_sided():
            return math.inf
        return float(
            max(np.percentile(d, PERCENTILE) for d in (self.to_reference, self.to_prediction))
        )

    def within(self, tolerance: float) -> float:
        """Share of the surface voxels of both masks that lie within ``tolerance`` of the other surface."""
        if self._empty():
            return math.nan
        near = sum(
            np.count_nonzero(d <= tolerance * (1 + SLACK))
            for d in (self.to_reference, self.to_prediction)
        )
        return float(near / (self.to_reference.size + self.to_prediction.size))

    def _empty(self) -> bool:
        return not self.to_reference.size and not self.to_prediction.size

    def _one_sided(self) -> bool:
        return not self.to_reference.size or not self.to_prediction.size


def hd95(predicted: Mask, reference: Mask, spacing: Sequence[float]) -> float:
    """95th percentile of the Hausdorff distance, in the unit of ``spacing``.

    Each direction has its own percentile (numpy's linear interpolation), the larger one counts. Infinite where one
    mask is empty, NaN where both are.

    >>> square = np.zeros((6, 6, 1), bool)
    >>> square[1:4, 1:4] = True
    >>> hd95(square, np.roll(square, 1, axis=0), (2.0, 1.0, 1.0))
    2.0
    """
    return surface_distances(predicted, reference, spacing).hd95()


def surface_dice(
    predicted: Mask, reference: Mask, spacing: Sequence[float], *, tolerance: float = 1.0
) -> float:
    """Normalised surface Dice: the share of both surfaces that lies within ``tolerance`` of the other one.

    (|P's surface voxels within tolerance of R's| + |R's within tolerance of P's|) / (|P's| + |R's|). ``tolerance`` in
    the unit of ``spacing``. 0 where one mask is empty, NaN where both are. Nikolov et al. 2018, counted in voxels.
    """
    return surface_distances(predicted, reference, spacing).within(tolerance)


def surface_distances(
    predicted: Mask, reference: Mask, spacing: Sequence[float], *, annotated: Mask | None = None
) -> SurfaceDistances:
    """Return the distances in both directions; infinite where the other mask is empty.

    Both masks lie within ``annotated``, if it is given. Where one of them has voxels but no surface voxel that counts,
    because all its neighbors are in it or not annotated, there is nothing to measure and no distance is returned.
    """
    kept = _long_axes(predicted.shape)
    predicted, reference, *known = (
        mask.reshape([mask.shape[axis] for axis in kept])
        for mask in (predicted, reference, annotated)
        if mask is not None
    )
    spacing = tuple(spacing[axis] for axis in kept)
    box = _union_box(predicted, reference)
    both = predicted.any() and reference.any()
    within = known[0][box] if both and known else None
    ours, theirs = surface(predicted[box], within), surface(reference[box], within)
    if both and not (ours.any() and theirs.any()):
        ours, theirs = np.zeros_like(ours), np.zeros_like(theirs)
    return SurfaceDistances(_distances(ours, theirs, spacing), _distances(theirs, ours, spacing))


def surface(mask: Mask, annotated: Mask | None = None) -> Mask:
    """Return the voxels of ``mask`` that share a face with a voxel outside it or with the edge of the array.

    With ``annotated``, within which ``mask`` lies, only annotated voxels count as outside, and the edge of the array
    only behind a voxel whose neighbor on the other side is annotated.

    >>> row = np.array([[False] * 3, [True] * 3, [False] * 3])
    >>> np.argwhere(surface(row)).tolist(), np.argwhere(surface(row, annotated=row)).tolist()
    ([[1, 0], [1, 1], [1, 2]], [[1, 0], [1, 2]])
    """
    if annotated is None:
        return np.asarray(mask & ~ndimage.binary_erosion(mask))
    found = np.zeros_like(mask)
    for axis in range(mask.ndim):
        known, inside, exposed = (np.moveaxis(each, axis, 0) for each in (annotated, mask, found))
        exposed[1:] |= known[:-1] & ~inside[:-1]
        exposed[:-1] |= known[1:] & ~inside[1:]
        if len(known) > 1:
            exposed[0] |= known[1]
            exposed[-1] |= known[-2]
    return found & mask


def _distances(of: Mask, to: Mask, spacing: Sequence[float]) -> NDArray[np.float32]:
    if not to.any():
        return np.full(np.count_nonzero(of), np.inf, np.float32)
    # edt gives the distance to the nearest zero, so the surface is what must be zero.
    edges = tuple(spacing) if len(spacing) > 1 else spacing[0]
    field = edt.edt(np.ascontiguousarray(~to), anisotropy=edges, parallel=1)
    return np.asarray(field[of], dtype=np.float32)


def _long_axes(shape: Sequence[int]) -> list[int]:
    """Return the axes with more than one voxel, or the first one if there is none."""
    return [axis for axis, size in enumerate(shape) if size > 1] or [0]


def _union_box(predicted: Mask, reference: Mask) -> tuple[slice, ...]:
    """Around both masks with a margin of one voxel, so that the cut makes no surface of its own."""
    found = ndimage.find_objects((predicted | reference).view(np.uint8))
    box = found[0] if found else tuple(slice(0, 1) for _ in predicted.shape)
    return tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
