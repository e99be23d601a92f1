"""Distances between surfaces made of elements with an area, as in DeepMind's surface-distance.

A surface element lies at a corner of voxels: wherever the 2 x 2 x 2 voxels that meet there (2 x 2
in a picture) are neither all in the mask nor all outside it. Its area is that of the triangles with
which marching cubes separates the voxels, and each element weighs as much as its area (Nikolov et
al. 2021, doi:10.2196/26151). Voxels beyond the image count as outside.

If only part of an image is annotated, elements that touch a voxel which is not are left out.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from segkit.evaluation.nearest import distances_to
from segkit.evaluation.overlap import Mask
from segkit.evaluation.surface import PERCENTILE, SLACK, long_axes, union_box

_TRIANGLES = {
    "a": (1, 1, 1),
    "b": (2, 2, 2),
    "c": (3, 3, 3),
    "x": (4, 0, 0),
    "y": (0, 4, 0),
    "z": (0, 0, 4),
    "p": (0, 2, 2),
    "q": (2, 0, 2),
    "r": (2, 2, 0),
}
"""Normals of the triangles in eighths, without signs; the length of a normal is its area."""
_CODES = """
- a a rr a qq aa abx a aa qq abx rr abx abx xx a pp aa aby aa abz aaa aabb aa app aqq acpq arr acpr
aabx abx a aa pp aby aa aqq app acpq aa aaa abz aabb arr aabx acpr abx rr aby aby yy arr acqr aaby
aby arr aaby acqr aby rrrr arr arr rr a aa aa arr pp abz app acpr aa aaa aqq aabx aby aabb acpq abx
qq abz aqq acqr abz zz aabz abz aqq aabz qqqq aqq acqr abz aqq qq aa aaa app aaby app aabz pppp app
aaa aaaa aabz aaa aaby aaa app aa abx aabb acpq aby acpr abz app pp aabx aaa aqq aa arr aa aa a
"""
"""Triangles of the codes 0 to 127; code 255 - n has those of code n. From the table of
surface-distance (Copyright 2018 Google Inc., Apache License 2.0), which has 256 signed normals."""


@dataclass(frozen=True, eq=False)
class ElementDistances:
    """Distance of each surface element to the nearest one of the other mask, and its area.

    If one mask is empty, the distances from the other are infinite. All arrays are empty if both
    masks are.
    """

    from_prediction: NDArray[np.float32]
    """Distance of each element of the prediction, (N,)."""
    from_reference: NDArray[np.float32]
    """Distance of each element of the reference, (M,)."""
    areas_of_prediction: NDArray[np.float64]
    """Area of each element of the prediction (length in a picture), (N,)."""
    areas_of_reference: NDArray[np.float64]
    """Area of each element of the reference, (M,)."""

    def hd95(self) -> float:
        """Return the larger of the two distances below which 95 % of a surface's area lies."""
        if self._area() == 0:
            return math.nan
        if not self.from_prediction.size or not self.from_reference.size:
            return math.inf
        return max(_percentile(*direction) for direction in self._directions())

    def mean(self) -> float:
        """Return the mean of all distances, weighted by area; infinite if one mask is empty."""
        if self._area() == 0:
            return math.nan
        if not self.from_prediction.size or not self.from_reference.size:
            return math.inf
        total = sum(float(distances @ areas) for distances, areas in self._directions())
        return total / self._area()

    def within(self, tolerance: float) -> float:
        """Return the share of the area of both surfaces within ``tolerance`` of the other one."""
        if self._area() == 0:
            return math.nan
        limit = tolerance * (1 + SLACK)
        near = sum(
            float(areas[distances <= limit].sum()) for distances, areas in self._directions()
        )
        return near / self._area()

    def _directions(self) -> list[tuple[NDArray[np.float32], NDArray[np.float64]]]:
        return [
            (self.from_prediction, self.areas_of_prediction),
            (self.from_reference, self.areas_of_reference),
        ]

    def _area(self) -> float:
        return float(self.areas_of_prediction.sum() + self.areas_of_reference.sum())


def element_distances(
    predicted: Mask, reference: Mask, spacing: Sequence[float], *, annotated: Mask | None = None
) -> ElementDistances:
    """Return the distances in both directions, and the areas.

    Args:
        predicted: mask (X, Y, Z); axes of one voxel are left out, as in `surface`.
        reference: mask (X, Y, Z).
        spacing: voxel spacing along X, Y, Z in mm (or px).
        annotated: mask (X, Y, Z) of annotated voxels, which contains both masks; by default all
            are.

    A square of 3 x 3 px is a contour of 12 elements: 8 on its sides and 4 halved corners.

    >>> square = np.zeros((5, 5, 1), bool)
    >>> square[1:4, 1:4] = True
    >>> float(element_distances(square, square, (1, 1, 1)).areas_of_prediction.sum().round(3))
    10.828
    """
    axes = long_axes(predicted.shape)
    shape = [predicted.shape[axis] for axis in axes]
    edges = [spacing[axis] for axis in axes]
    predicted, reference = predicted.reshape(shape), reference.reshape(shape)
    box = union_box(predicted, reference)
    both = predicted.any() and reference.any()
    unknown = None if annotated is None or not both else ~annotated.reshape(shape)[box]
    codes = [_codes(mask[box], unknown) for mask in (predicted, reference)]
    surfaces = [(code != 0) & (code != 2**2 ** len(axes) - 1) for code in codes]
    if both and not all(mask.any() for mask in surfaces):
        surfaces = [np.zeros_like(mask) for mask in surfaces]
    areas = _areas(edges)
    return ElementDistances(
        distances_to(surfaces[0], surfaces[1], edges),
        distances_to(surfaces[1], surfaces[0], edges),
        *(areas[code[mask]] for code, mask in zip(codes, surfaces, strict=True)),
    )


def _percentile(distances: NDArray[np.float32], areas: NDArray[np.float64]) -> float:
    """Return the smallest distance up to which at least 95 % of the area lies."""
    order = np.argsort(distances, kind="stable")
    shares = np.cumsum(areas[order]) / areas.sum()
    place = int(np.searchsorted(shares, PERCENTILE / 100))
    return float(distances[order[min(place, len(order) - 1)]])


def _codes(mask: Mask, unknown: Mask | None) -> NDArray[np.uint8]:
    """Return which voxels around each corner are in a mask, as bits, for all corners (n + 1).

    Corners at which an unknown voxel lies have the code 0, as if there were no surface.
    """
    corners = list(itertools.product((slice(None, -1), slice(1, None)), repeat=mask.ndim))
    padded = np.pad(mask, 1).view(np.uint8)
    codes = np.zeros([size + 1 for size in mask.shape], np.uint8)
    for bit, corner in enumerate(reversed(corners)):
        codes |= padded[corner] << np.uint8(bit)
    if unknown is not None:
        # The border of the image is known where the voxel before it is, as in `surface`.
        beside = np.pad(unknown, 1, mode="reflect" if min(unknown.shape) > 1 else "edge")
        for corner in corners:
            codes[beside[corner]] = 0
    return codes


def _areas(spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return the area (3 axes), length (2) or number (1) of the element of each code."""
    if len(spacing) == 1:
        return np.array([0.0, 1.0, 1.0, 0.0])
    if len(spacing) == 2:
        diagonal, (first, second) = math.hypot(*spacing) / 2, spacing
        half = [0, diagonal, diagonal, second, diagonal, first, 2 * diagonal, diagonal]
        return np.array([*half, *reversed(half)])
    x, y, z = spacing
    scale = np.array([y * z, x * z, x * y]) / 8
    area = {name: float(np.linalg.norm(normal * scale)) for name, normal in _TRIANGLES.items()}
    half = [sum(area[name] for name in word.strip("-")) for word in _CODES.split()]
    return np.array([*half, *reversed(half)])
