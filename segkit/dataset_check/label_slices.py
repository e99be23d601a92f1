"""Measure the slices of a label: where it ends flat, and where slices are missing inside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.preprocessing.orient_and_crop import AxisMap
from segkit.volume import Box

LISTED = 5
"""Number of empty slices whose positions are kept."""
LARGE = 0.25
"""Share of the largest slice that both slices beside a gap must have."""
OVERLAP = 0.5
"""Share of the larger of these two slices that the other one must cover, over background.

Two lesions one above the other overlap less.
"""


@dataclass(frozen=True)
class Gaps:
    """Empty slices between slices of a label that overlap each other."""

    axis: int
    """Axis across the slices: 0, 1, 2 for X, Y, Z in RAS+."""
    empty: int
    """Number of empty slices."""
    extent: int
    """Number of slices from the first to the last one of the label."""
    where: str
    """The first empty slices in words: the axis of the file and the indices along it, from 0."""


@dataclass(frozen=True)
class LabelSlices:
    """Slices of one label in one case."""

    ends: tuple[float, ...]
    """Area of the last slice in the directions X, -X, Y, -Y, Z, -Z, as a share of the largest one.

    Voxels count that have background behind them. NaN where the label reaches the edge of the scan.
    """
    gaps: tuple[Gaps, ...]
    """Gaps, at most one for each axis."""


def label_slices(
    indices: NDArray[Any], classes: Sequence[int], box: Box, axis_map: AxisMap
) -> LabelSlices:
    """Return the slices of a label.

    Args:
        indices: label map (X, Y, Z).
        classes: the indices that are part of the label.
        box: the smallest box around its voxels.
        axis_map: map from the axes of the file, for positions in it.
    """
    mask, free = np.isin(indices[box], classes), indices[box] == 0
    ends: list[float] = []
    gaps = []
    for axis in range(3):
        planes = np.moveaxis(mask, axis, 0)
        areas = np.count_nonzero(planes, axis=(1, 2))
        for last, step in ((len(areas) - 1, 1), (0, -1)):
            behind = box[axis].start + last + step
            if not 0 <= behind < indices.shape[axis] or indices.shape[axis] == 1:
                ends.append(math.nan)
                continue
            beside = tuple(span for other, span in enumerate(box) if other != axis)
            open_end = np.moveaxis(indices, axis, 0)[behind][beside] == 0
            ends.append(float(np.count_nonzero(planes[last] & open_end) / areas.max()))
        empty = _empty_inside(planes, np.moveaxis(free, axis, 0))
        if empty:
            where = _in_file(empty, axis, box[axis].start, axis_map, indices.shape[axis])
            gaps.append(Gaps(axis, len(empty), len(areas), where))
    return LabelSlices(tuple(ends), tuple(gaps))


def _empty_inside(planes: NDArray[np.bool_], free: NDArray[np.bool_]) -> list[int]:
    """Return the empty planes between two large ones that overlap, as of one structure.

    Planes that hold another label there, or are not annotated, are not empty.

    Args:
        planes: the label.
        free: the background.

    >>> planes = np.ones((5, 4, 4), bool)
    >>> planes[[1, 3]] = False
    >>> _empty_inside(planes, ~planes)
    [1, 3]
    """
    areas = np.count_nonzero(planes, axis=(1, 2))
    present = np.flatnonzero(areas)
    found: list[int] = []
    for before, after in pairwise(present.tolist()):
        smaller, larger = sorted((areas[before], areas[after]))
        if after - before == 1 or smaller < LARGE * areas.max():
            continue
        both = planes[before] & planes[after]
        found += [
            plane
            for plane in range(before + 1, after)
            if np.count_nonzero(both & free[plane]) >= OVERLAP * larger
        ]
    return found


def _in_file(empty: Sequence[int], axis: int, start: int, axis_map: AxisMap, size: int) -> str:
    """Return the positions of planes in the order of the file, such as "z 3, 5"."""
    places = [start + each for each in empty]
    if axis_map.flips[axis]:
        places = [size - 1 - place for place in places]
    more = f" and {len(places) - LISTED} more" if len(places) > LISTED else ""
    listed = ", ".join(map(str, sorted(places)[:LISTED]))
    return f"{'xyz'[axis_map.order[axis]]} {listed}{more}"
