"""Distance from each voxel of one mask to the nearest voxel of another, exact in all cases.

Surfaces are thin and mostly close to each other, so only their voxels are looked at: first at all
offsets of up to two voxels, then along the lines of the image in a growing radius, after the
nearest voxel of the other mask in each line has been found once. The rest is found in a k-d tree of
the other mask, or by a distance transform of the whole box where it is many voxels.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from segkit.evaluation.overlap import Mask

RINGS = (1.0, 2.0)
"""Lengths up to which offsets are looked up, in voxels along the axis of finest spacing."""
RADII = (4.0, 6.0, 10.0, 15.0)
"""Radii in which lines are looked up, in the same unit."""
LOOKUPS_PER_VOXEL = 3
"""Lines that are looked up in the time in which a transform visits a voxel."""
SAMPLE = 5
"""Number of voxels whose distances are computed first to estimate how many lines there will be."""
VOXELS_PER_QUERY, POINTS_PER_VOXEL = 75, 40
"""Voxels that a transform visits in the time of a usual query of a tree, and points of the tree
that cost as much as one further voxel: a query amid equally distant points visits most of them.
These numbers are rough, and decide only how long the exact distances take."""
AT_ONCE = 2**15
"""Number of values that are looked up at once, so that they stay in the processor's cache."""
SLACK = 1e-6
"""Relative tolerance of a radius, so that rounding excludes no offset."""

Indices = NDArray[np.int64]
"""Indices of voxels (axes, N)."""
Distances = NDArray[np.float32]
"""Distances of voxels (N,); infinite where they are not known yet."""


def distances_to(source: Mask, target: Mask, spacing: Sequence[float]) -> Distances:
    """Return the distance of each voxel of ``source`` to the nearest voxel of ``target``, (N,).

    Distances are between voxel centers, in the unit of ``spacing`` and in the order of
    ``np.nonzero(source)``. They are infinite if ``target`` is empty.

    Args:
        source: mask with any number of axes.
        target: mask of the same shape.
        spacing: voxel spacing along each axis.

    >>> row = np.array([True, False, False, True, True])
    >>> distances_to(row, np.array([False, False, False, False, True]), [2.0]).tolist()
    [8.0, 2.0, 0.0]
    """
    indices = np.stack(np.unravel_index(np.flatnonzero(source), source.shape))
    distances = np.full(indices.shape[1], np.inf, np.float32)
    if target.any():
        for find in (_look_around, _along_lines, _at_any_distance):
            left = np.flatnonzero(np.isinf(distances))
            if left.size:
                distances[left] = find(indices[:, left], target, tuple(map(float, spacing)))
    return distances


def _look_around(indices: Indices, target: Mask, spacing: tuple[float, ...]) -> Distances:
    """Return the distances to targets within the largest ring."""
    distances = np.full(indices.shape[1], np.inf, np.float32)
    for shortest, longest in _rings((-1.0, *RINGS), spacing):
        offsets, lengths = _offsets(spacing, shortest, longest)
        left = np.flatnonzero(np.isinf(distances))
        for part, found in _looked_up(target, False, indices[:, left], offsets):
            # Offsets are in ascending order, so the first target is the nearest one.
            nearest = lengths[found.argmax(axis=1)]
            distances[left[part]] = np.where(found.any(axis=1), nearest, np.inf)
    return distances


def _along_lines(indices: Indices, target: Mask, spacing: tuple[float, ...]) -> Distances:
    """Return the distances to targets within the largest radius; none if a transform is faster.

    A voxel whose nearest target is within the radius has found it, because all lines that pass
    within the radius have been looked up.
    """
    axis = int(np.argmin(spacing))
    across = (*spacing[:axis], *spacing[axis + 1 :])
    if _too_many_lines(indices, target, spacing, across):
        return np.full(indices.shape[1], np.inf, np.float32)
    order = [axis, *(other for other in range(target.ndim) if other != axis)]
    steps = _steps_along(np.ascontiguousarray(target.transpose(order)))
    squares = np.append((np.arange(len(steps)) * spacing[axis]) ** 2, np.inf)
    best = np.full(indices.shape[1], np.inf)
    distances = best.astype(np.float32)
    for shortest, longest in _rings((-1.0, *RADII), spacing):
        offsets, lengths = _offsets(across, shortest, longest)
        left = np.flatnonzero(np.isinf(distances))
        if not left.size:
            break
        for part, found in _looked_up(steps, len(steps), indices[order][:, left], offsets):
            nearest = (squares.take(found) + lengths**2).min(axis=1)
            best[left[part]] = np.minimum(best[left[part]], nearest)
        known = left[best[left] <= longest**2]
        distances[known] = np.sqrt(best[known])
    return distances


def _too_many_lines(
    indices: Indices, target: Mask, spacing: tuple[float, ...], across: tuple[float, ...]
) -> bool:
    """Return whether a transform is probably faster, judged by the distances of a few voxels."""
    voxels, most = indices.shape[1], LOOKUPS_PER_VOXEL * target.size
    if voxels * _lines_within(RADII[-1] * min(spacing), across) < most:
        return False
    some = indices[:, :: -(-voxels // SAMPLE)]
    points = np.unravel_index(np.flatnonzero(target), target.shape)
    squares = sum(
        ((places - other[:, np.newaxis]) * edge) ** 2
        for places, other, edge in zip(points, some, spacing, strict=True)
    )
    lines = [_lines_within(math.sqrt(square), across) for square in np.min(squares, axis=1)]
    return bool(voxels * sum(lines) / len(lines) > most)


def _lines_within(radius: float, across: tuple[float, ...]) -> float:
    """Return about how many lines pass within a radius, by the area of the circle."""
    return (math.sqrt(math.pi) * radius) ** len(across) / math.prod(across)


def _at_any_distance(indices: Indices, target: Mask, spacing: tuple[float, ...]) -> Distances:
    """Return the distances, from a tree for few voxels and from a transform for many."""
    points = np.count_nonzero(target)
    if indices.shape[1] * (VOXELS_PER_QUERY + points / POINTS_PER_VOXEL) > target.size:
        distances: Distances = _transform(target, spacing)[tuple(indices)]
        return distances
    tree = KDTree(np.argwhere(target) * spacing)
    return np.asarray(tree.query(indices.T * np.array(spacing))[0], np.float32)


def _transform(target: Mask, spacing: tuple[float, ...]) -> NDArray[np.float32]:
    # edt returns the distance to the nearest zero, so the target must be zero. Bytes take a third
    # less time than booleans.
    edges = spacing if len(spacing) > 1 else spacing[0]
    background = np.ascontiguousarray(~target).view(np.uint8)
    field = edt.edt(background, anisotropy=edges, parallel=1)
    return np.asarray(field, np.float32)


def _steps_along(target: Mask) -> NDArray[np.signedinteger]:
    """Return the number of steps along the first axis to the nearest target in the same line.

    It is the length of the axis if the line has no target.
    """
    length = len(target)
    steps = np.full(target.shape, length, np.int16 if length < 2**14 else np.int64)
    steps[target] = 0
    for planes in (steps, steps[::-1]):
        for place in range(1, length):
            before, plane = planes[place - 1, ...], planes[place, ...]
            np.minimum(plane, before + 1, out=plane)
    return steps


def _looked_up(
    array: NDArray[Any], beyond: Any, indices: Indices, offsets: Indices
) -> Iterator[tuple[slice, NDArray[Any]]]:
    """Yield the values of an array at all offsets from some of the voxels, (n, offsets).

    Args:
        array: the array.
        beyond: value outside of the array.
        indices: the voxels (axes, N).
        offsets: offsets in voxels along the last axes of the array (offsets, axes).

    Yields:
        The place of the voxels among all, and the values.
    """
    if not len(offsets):  # no line lies between two radii
        return
    widths = np.zeros(array.ndim, np.int64)
    widths[array.ndim - offsets.shape[1] :] = np.abs(offsets).max(axis=0)
    padded = np.full(array.shape + 2 * widths, beyond, array.dtype)
    padded[tuple(map(slice, widths, widths + array.shape))] = array
    flat, strides = padded.ravel(), np.array(padded.strides) // padded.itemsize
    places = strides @ indices + strides @ widths
    moves = offsets @ strides[array.ndim - offsets.shape[1] :]
    at_once = max(1, AT_ONCE // len(offsets))
    for first in range(0, places.size, at_once):
        part = slice(first, first + at_once)
        yield part, flat.take(places[part, np.newaxis] + moves)


def _rings(lengths: Sequence[float], spacing: tuple[float, ...]) -> Iterator[tuple[float, float]]:
    """Yield the lengths between which a ring lies, in the unit of ``spacing``."""
    limits = [length * min(spacing) * (1 + SLACK) for length in lengths]
    return itertools.pairwise(limits)


@lru_cache
def _offsets(
    spacing: tuple[float, ...], shortest: float, longest: float
) -> tuple[Indices, NDArray[np.float64]]:
    """Return offsets in voxels longer than ``shortest`` up to ``longest``, in ascending order.

    Returns:
        Offsets (N, axes), and their lengths (N,) in the unit of ``spacing``.
    """
    reach = [int(longest // edge) for edge in spacing]
    grid = itertools.product(*(range(-size, size + 1) for size in reach))
    offsets = np.array(list(grid), np.int64)
    lengths = np.linalg.norm(offsets * np.array(spacing), axis=1)
    order = np.argsort(lengths, kind="stable")
    chosen = order[(lengths[order] > shortest) & (lengths[order] <= longest)]
    return offsets[chosen], lengths[chosen]
