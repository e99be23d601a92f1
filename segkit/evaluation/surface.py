"""Distances between the surfaces of two masks on one grid.

The surface of a mask consists of its voxels that share a face with a voxel outside the mask; voxels
beyond the image count as outside. There are no faces along an axis with a single voxel, so a
picture has a contour and not two flat sides. Distances are between voxel centers, in the unit of
``spacing``. These are the definitions of MONAI (without subvoxels). Surface voxels are not weighted
by area, unlike in `surface_elements`, whose values are others.

If only part of an image is annotated, a surface voxel counts only if it shares a face with an
annotated voxel outside the mask, because the rest is unknown. The border of the image counts if the
voxel's neighbor on the opposite side is annotated. Single annotated slices therefore have contours
but no flat sides.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkit.evaluation.nearest import distances_to
from segkit.evaluation.overlap import Mask

PERCENTILE = 95
SLACK = 1e-4
"""Relative tolerance of lengths, because a voxel edge of 1 mm is often 1.0000001 mm in a file."""


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances from every surface voxel of one mask to the nearest surface voxel of the other.

    If one mask is empty, the distances from the other are infinite. Both arrays are empty if both
    masks are.
    """

    from_prediction: NDArray[np.float32]
    """Distance of each surface voxel of the prediction to the reference, (N,)."""
    from_reference: NDArray[np.float32]
    """Distance of each surface voxel of the reference to the prediction, (M,)."""

    def hd95(self) -> float:
        """Return the larger of the two 95th percentiles; infinite if one mask is empty."""
        if self._empty():
            return math.nan
        if self._one_is_empty():
            return math.inf
        directions = (self.from_prediction, self.from_reference)
        return float(max(np.percentile(distances, PERCENTILE) for distances in directions))

    def mean(self) -> float:
        """Return the mean of all distances (ASSD); infinite if one mask is empty.

        Every surface voxel of either mask counts once, as in MONAI, so a direction with more voxels
        weighs more.
        """
        if self._empty():
            return math.nan
        total = sum(
            float(distances.sum(dtype=np.float64))
            for distances in (self.from_prediction, self.from_reference)
        )
        return math.inf if self._one_is_empty() else total / self._size()

    def within(self, tolerance: float) -> float:
        """Return the fraction of all surface voxels within ``tolerance`` of the other surface."""
        if self._empty():
            return math.nan
        limit = tolerance * (1 + SLACK)
        near = np.count_nonzero(self.from_prediction <= limit)
        near += np.count_nonzero(self.from_reference <= limit)
        return float(near / self._size())

    def _size(self) -> int:
        return self.from_prediction.size + self.from_reference.size

    def _empty(self) -> bool:
        return not self._size()

    def _one_is_empty(self) -> bool:
        return not self.from_prediction.size or not self.from_reference.size


def hd95(predicted: Mask, reference: Mask, spacing: Sequence[float]) -> float:
    """Return the 95th percentile of the Hausdorff distance, in the unit of ``spacing``.

    The percentile is computed for each direction separately (with numpy's linear interpolation),
    and the larger one is returned. It is infinite if one mask is empty, and NaN if both are. The
    catalogue of metrics calls the method of `SurfaceDistances` instead, so that distances are
    computed once for all metrics.

    Args:
        predicted: mask (X, Y, Z).
        reference: mask (X, Y, Z).
        spacing: voxel spacing along X, Y, Z in mm (or px).

    >>> square = np.zeros((6, 6, 1), bool)
    >>> square[1:4, 1:4] = True
    >>> hd95(square, np.roll(square, 1, axis=0), (2.0, 1.0, 1.0))
    2.0
    """
    return surface_distances(predicted, reference, spacing).hd95()


def surface_dice(
    predicted: Mask, reference: Mask, spacing: Sequence[float], *, tolerance: float = 1.0
) -> float:
    """Return the normalized surface Dice: the fraction of both surfaces within ``tolerance``.

    It is (|surface of P near that of R| + |surface of R near that of P|) / (|surface of P| +
    |surface of R|), counted in voxels (Nikolov et al. 2018, who weight by area). It is 0 if one
    mask is empty, and NaN if both are.

    Args:
        predicted: mask (X, Y, Z).
        reference: mask (X, Y, Z).
        spacing: voxel spacing along X, Y, Z in mm (or px).
        tolerance: largest distance that counts as near, in the unit of ``spacing``.

    >>> square = np.zeros((6, 6, 1), bool)
    >>> square[1:4, 1:4] = True
    >>> surface_dice(square, np.roll(square, 1, axis=0), (2.0, 1.0, 1.0), tolerance=2.0)
    1.0
    """
    return surface_distances(predicted, reference, spacing).within(tolerance)


def surface_distances(
    predicted: Mask, reference: Mask, spacing: Sequence[float], *, annotated: Mask | None = None
) -> SurfaceDistances:
    """Return the distances in both directions; they are infinite if the other mask is empty.

    If a mask has voxels but no surface voxel that counts, because all its neighbors are in the mask
    or not annotated, nothing can be measured and both directions are empty.

    Args:
        predicted: mask (X, Y, Z).
        reference: mask (X, Y, Z).
        spacing: voxel spacing along X, Y, Z in mm (or px).
        annotated: mask (X, Y, Z) of annotated voxels, which contains both masks; by default all
            are.
    """
    axes = long_axes(predicted.shape)
    shape = [predicted.shape[axis] for axis in axes]
    spacing = tuple(spacing[axis] for axis in axes)
    predicted, reference = predicted.reshape(shape), reference.reshape(shape)
    box = union_box(predicted, reference)
    # Planes along the first axis are contiguous then, whatever the order in the file.
    predicted, reference = (np.ascontiguousarray(mask[box]) for mask in (predicted, reference))
    both = predicted.any() and reference.any()
    within = None if annotated is None or not both else annotated.reshape(shape)[box]
    predicted_surface, reference_surface = surface(predicted, within), surface(reference, within)
    if both and not (predicted_surface.any() and reference_surface.any()):
        predicted_surface = np.zeros_like(predicted_surface)
        reference_surface = np.zeros_like(reference_surface)
    return SurfaceDistances(
        from_prediction=distances_to(predicted_surface, reference_surface, spacing),
        from_reference=distances_to(reference_surface, predicted_surface, spacing),
    )


def surface(mask: Mask, annotated: Mask | None = None) -> Mask:
    """Return the voxels of ``mask`` that share a face with a voxel outside it or with the border.

    If ``annotated`` is given, only annotated voxels count as outside, and the border of the array
    counts only for a voxel whose neighbor on the opposite side is annotated.

    Args:
        mask: mask with any number of axes.
        annotated: mask of annotated voxels, which contains ``mask``; by default all are.

    >>> row = np.array([[False] * 3, [True] * 3, [False] * 3])
    >>> np.argwhere(surface(row)).tolist(), np.argwhere(surface(row, annotated=row)).tolist()
    ([[1, 0], [1, 1], [1, 2]], [[1, 0], [1, 2]])
    """
    if annotated is None:
        return mask & ~_inside(mask)
    faces_outside = np.zeros_like(mask)
    for axis in range(mask.ndim):
        known = np.moveaxis(annotated, axis, 0)
        inside = np.moveaxis(mask, axis, 0)
        exposed = np.moveaxis(faces_outside, axis, 0)
        exposed[1:] |= known[:-1] & ~inside[:-1]
        exposed[:-1] |= known[1:] & ~inside[1:]
        if len(known) > 1:
            exposed[0] |= known[1]
            exposed[-1] |= known[-2]
    return faces_outside & mask


def _inside(mask: Mask) -> Mask:
    """Return the voxels of a mask whose neighbors at all faces are in it; slices beat scipy."""
    inside = mask.copy()
    for axis in range(mask.ndim):
        voxels, kept = np.moveaxis(mask, axis, 0), np.moveaxis(inside, axis, 0)
        kept[1:] &= voxels[:-1]
        kept[:-1] &= voxels[1:]
        kept[0] = kept[-1] = False
    return inside


def long_axes(shape: Sequence[int]) -> list[int]:
    """Return the axes with more than one voxel, or the first one if there is none."""
    return [axis for axis, size in enumerate(shape) if size > 1] or [0]


def union_box(predicted: Mask, reference: Mask) -> tuple[slice, ...]:
    """Return the box around both masks with a margin of one voxel, so that it adds no surface.

    >>> row = np.array([False] * 5 + [True] * 3 + [False] * 5)
    >>> union_box(row, np.roll(row, 2))
    (slice(4, 11, None),)
    """
    box = [slice(None)] * predicted.ndim
    # Planes that are contiguous in memory first, so that the others are short.
    for axis in np.argsort(predicted.strides)[::-1]:
        others = tuple(other for other in range(predicted.ndim) if other != axis)
        part = tuple(box)
        used = predicted[part].any(axis=others) | reference[part].any(axis=others)
        places = np.flatnonzero(used)
        if not places.size:
            return (slice(0, 1),) * predicted.ndim
        box[axis] = slice(int(places[0]), int(places[-1]) + 1)
    return tuple(slice(max(side.start - 1, 0), side.stop + 1) for side in box)
