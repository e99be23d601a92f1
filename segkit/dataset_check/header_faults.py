"""How the headers of scan and label map differ, and whether only that of the latter is wrong."""

from __future__ import annotations

import math

import numpy as np

from segkit.volume import LPS_TO_RAS, Grid

SAME_SPACING = 0.01
"""Largest relative difference of two voxel spacings that count as equal."""
SAME_DIRECTION = 0.9998
"""Smallest cosine (1 degree) between two voxel axes that count as parallel."""


def voxel_for_voxel(scan: Grid, label: Grid) -> str:
    """Return why a label map of another grid belongs to its scan voxel for voxel; "" if it may not.

    >>> scan = Grid((4, 5, 6), np.diag([2.0, 2.0, 3.0, 1.0]))
    >>> voxel_for_voxel(scan, Grid((4, 5, 6), np.eye(4)))
    'its header says nothing (voxels of 1 mm from 0)'
    >>> voxel_for_voxel(scan, Grid((4, 5, 7), np.eye(4)))
    ''
    """
    if scan.shape != label.shape or "px" in (scan.unit, label.unit):
        return ""
    if is_default(label):
        return "its header says nothing (voxels of 1 mm from 0)"
    if Grid(label.shape, LPS_TO_RAS @ label.affine).matches(scan):
        return "its header has the signs of X and Y exchanged (LPS for RAS)"
    if not label.affine[:3, 3].any() and nearly_equal(scan, _at_origin_of(scan, label)):
        return "its header has no position (0, 0, 0)"
    if nearly_equal(scan, label):
        return f"it is off by less than a voxel ({grid_difference(scan, label)})"
    return ""


def is_default(label: Grid) -> bool:
    """Return whether a header is what libraries write by default, in RAS or in LPS."""
    defaults = (np.eye(4), LPS_TO_RAS)
    return any(np.array_equal(label.affine, default) for default in defaults)


def _at_origin_of(scan: Grid, label: Grid) -> Grid:
    affine = label.affine.copy()
    affine[:3, 3] = scan.affine[:3, 3]
    return Grid(label.shape, affine)


def nearly_equal(scan: Grid, label: Grid) -> bool:
    """Return whether two grids of one shape are less than a voxel of the scan apart everywhere.

    A label map that is farther away may be right where it is: drawn on another scan of the patient,
    or on that of another patient with the same protocol.
    """
    if not np.allclose(scan.spacing, label.spacing, rtol=SAME_SPACING):
        return False
    if smallest_cosine(scan, label) < SAME_DIRECTION:
        return False
    apart = (label.corners() - scan.corners()).T
    return bool(np.abs(np.linalg.solve(scan.affine[:3, :3], apart)).max() < 1)


def grid_difference(scan: Grid, label: Grid) -> str:
    """Return in which of shape, spacing, origin and direction two grids differ, in mm and degrees.

    >>> print(grid_difference(Grid((4, 5, 6), np.eye(4)), Grid((4, 5, 6), np.diag([2, 1, 1, 1]))))
    spacing 1 mm off; corners 3 mm apart, where 0.05 mm are tolerated
    """
    tolerance = 0.05 * min(scan.spacing)
    parts = []
    if scan.shape != label.shape:
        parts.append("other shape")
    lengths = {
        "spacing": float(np.abs(np.subtract(scan.spacing, label.spacing)).max()),
        "origin": float(np.linalg.norm(scan.affine[:3, 3] - label.affine[:3, 3])),
    }
    parts += [f"{name} {off:.3g} mm off" for name, off in lengths.items() if off > tolerance / 10]
    angle = _angle(scan, label)
    if angle > 0.05:
        parts.append(f"direction {angle:.3g} degrees off")
    if scan.shape == label.shape:
        apart = scan.distance(label)
        parts.append(f"corners {apart:.3g} mm apart, where {tolerance:.2g} mm are tolerated")
    return "; ".join(parts)


def _angle(scan: Grid, label: Grid) -> float:
    """Return the largest angle in degrees between corresponding voxel axes of two grids."""
    return math.degrees(math.acos(smallest_cosine(scan, label)))


def smallest_cosine(one: Grid, other: Grid) -> float:
    """Return the smallest cosine between corresponding voxel axes of two grids."""
    axes, others = (grid.affine[:3, :3] / grid.spacing for grid in (one, other))
    return float(np.clip((axes * others).sum(axis=0), -1, 1).min())
