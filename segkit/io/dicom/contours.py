"""Outlines of a mask as closed polygons; a hole is joined to the outline around it by a channel of no width."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray

Polygon = NDArray[np.float64]
"""(N, 2) points (x, y) in pixels, from the centre of the first one; the last is joined to the first."""


def outlines(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Polygons around the pixels of a mask (X, Y); the centres inside of them are those of the mask.

    The lines run halfway between pixels inside and outside (marching squares). Holes follow the keyhole technique that
    DICOM describes for CLOSED_PLANAR contours (PS3.3 C.8.8.6.3).
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    x, y = int(rows[0]), int(columns[0])
    part = np.pad(mask[x : rows[-1] + 1, y : columns[-1] + 1].astype(np.float64), 1)
    generator = contour_generator(z=part.T, name="serial", fill_type=FillType.OuterOffset)
    found = []
    for points, offsets in zip(*generator.filled(0.5, 2.0), strict=True):
        rings = [points[start : stop - 1] for start, stop in pairwise(offsets)]
        found.append(_with_keyholes(rings[0], rings[1:]) + np.array([x - 1, y - 1]))
    return found


def _with_keyholes(outer: Polygon, holes: list[Polygon]) -> Polygon:
    """One polygon that runs around the outline and, by the shortest way, in and out of every hole."""
    merged, left = outer, list(holes)
    while left:
        # The nearest hole first: the shortest way to it crosses no other one.
        distances = [np.linalg.norm(merged[:, None] - hole[None], axis=2) for hole in left]
        nearest = int(np.argmin([each.min() for each in distances]))
        here, there = np.unravel_index(int(distances[nearest].argmin()), distances[nearest].shape)
        hole = np.roll(left.pop(nearest), -int(there), axis=0)
        merged = np.concatenate([merged[: here + 1], hole, hole[:1], merged[here:]])
    return merged
