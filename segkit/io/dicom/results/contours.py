"""Outlines of a mask as closed polygons.

A hole is joined to the outline around it by a channel of zero width (keyhole technique).
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from contourpy import FillType, contour_generator
from numpy.typing import NDArray

Polygon = NDArray[np.float64]
"""Points (x, y) in pixels, shape (N, 2); the center of the first pixel is (0, 0).

The last point is implicitly joined to the first.
"""


def outlines(mask: NDArray[np.bool_]) -> list[Polygon]:
    """Return polygons around the pixels of a mask (X, Y).

    The lines run halfway between pixels inside and outside (marching squares), so that the pixel
    centers inside the polygons are exactly those of the mask. Holes follow the keyhole technique
    that DICOM describes for CLOSED_PLANAR contours (PS3.3 C.8.8.6.3).
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return []
    x, y = int(rows[0]), int(columns[0])
    part = np.pad(mask[x : rows[-1] + 1, y : columns[-1] + 1].astype(np.float64), 1)
    generator = contour_generator(z=part.T, name="serial", fill_type=FillType.OuterOffset)
    polygons = []
    for points, offsets in zip(*generator.filled(0.5, 2.0), strict=True):
        rings = [_corners(points[start : stop - 1]) for start, stop in pairwise(offsets)]
        polygons.append(_with_keyholes(rings[0], rings[1:]) + np.array([x - 1, y - 1]))
    return polygons


def _corners(ring: Polygon) -> Polygon:
    """Return the points at which a closed line changes its direction."""
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    return np.asarray(ring[turns], dtype=np.float64)


def _with_keyholes(outer: Polygon, holes: list[Polygon]) -> Polygon:
    """Return one polygon that traces the outline and, through straight channels, every hole.

    The channel of a hole runs from its leftmost point to the left.
    """
    merged = outer
    # From left to right, so that any hole that a channel meets is already merged.
    for hole in sorted(holes, key=lambda ring: float(ring[:, 0].min())):
        start = int(hole[:, 0].argmin())
        edge, entry = _first_to_the_left(merged, hole[start])
        ring = np.roll(hole, -start, axis=0)
        merged = np.concatenate(
            [merged[: edge + 1], entry, ring, ring[:1], entry, merged[edge + 1 :]]
        )
    return merged


def _first_to_the_left(polygon: Polygon, point: NDArray[np.float64]) -> tuple[int, Polygon]:
    """Return the first edge that a ray from ``point`` to lower x meets, and the point (1, 2)."""
    (x0, y0), (x1, y1) = polygon.T, np.roll(polygon, -1, axis=0).T
    edges = np.flatnonzero((y0 <= point[1]) != (y1 <= point[1]))
    shares = (point[1] - y0[edges]) / (y1[edges] - y0[edges])
    crossings = x0[edges] + shares * (x1[edges] - x0[edges])
    nearest = int(np.argmax(np.where(crossings < point[0], crossings, -np.inf)))
    return int(edges[nearest]), np.array([[crossings[nearest], point[1]]])
