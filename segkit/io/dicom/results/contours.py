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
        rings = [_corners(points[start : stop - 1]) for start, stop in pairwise(offsets)]
        found.append(_with_keyholes(rings[0], rings[1:]) + np.array([x - 1, y - 1]))
    return found


def _corners(ring: Polygon) -> Polygon:
    """The points at which a closed line turns."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return np.asarray(ring[turns], dtype=np.float64)


def _with_keyholes(outer: Polygon, holes: list[Polygon]) -> Polygon:
    """One polygon that runs around the outline and, by straight channels to the left, in and out of every hole."""
    merged = outer
    # What lies to the left of a hole's leftmost point begins further left, so it is a part of the polygon by then.
    for hole in sorted(holes, key=lambda ring: float(ring[:, 0].min())):
        start = int(hole[:, 0].argmin())
        edge, door = _first_to_the_left(merged, hole[start])
        ring = np.roll(hole, -start, axis=0)
        merged = np.concatenate(
            [merged[: edge + 1], door, ring, ring[:1], door, merged[edge + 1 :]]
        )
    return merged


def _first_to_the_left(polygon: Polygon, point: NDArray[np.float64]) -> tuple[int, Polygon]:
    """The edge that a ray from ``point`` towards lower x meets first, and where, as (1, 2)."""
    (x0, y0), (x1, y1) = polygon.T, np.roll(polygon, -1, axis=0).T
    edges = np.flatnonzero((y0 <= point[1]) != (y1 <= point[1]))
    share = (point[1] - y0[edges]) / (y1[edges] - y0[edges])
    met = x0[edges] + share * (x1[edges] - x0[edges])
    nearest = int(np.argmax(np.where(met < point[0], met, -np.inf)))
    return int(edges[nearest]), np.array([[met[nearest], point[1]]])
