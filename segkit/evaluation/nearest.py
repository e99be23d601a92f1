"""Distance from each voxel of one mask to the nearest voxel of another, exact in all cases.

Surfaces are thin and mostly close to each other, so only their voxels are looked at: first at all
offsets of up to two voxels, in ascending order of length, then in a k-d tree of the other mask. A
distance transform of the whole box replaces the tree where many voxels are far away.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import edt
import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from segkit.evaluation.overlap import Mask

REACH = 2.0
"""Length of the longest offset that is looked up, in voxels along the axis of finest spacing."""
VOXELS_PER_QUERY, POINTS_PER_VOXEL = 75, 40
"""Voxels that a transform visits in the time of a usual query of a tree, and points of the tree
that cost as much as one further voxel: a query amid equally distant points visits most of them.
Both are rough, and decide only how long the exact distances take."""


def distances_to(source: Mask, target: Mask, spacing: Sequence[float]) -> NDArray[np.float32]:
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
    indices = np.nonzero(source)
    if not target.any():
        return np.full(indices[0].size, np.inf, np.float32)
    distances, far = _look_around(indices, target, spacing)
    if not far.size:
        return distances
    distant = tuple(index[far] for index in indices)
    points = np.count_nonzero(target)
    if far.size * (VOXELS_PER_QUERY + points / POINTS_PER_VOXEL) > target.size:
        distances[far] = _transform(target, spacing)[distant]
    else:
        tree = KDTree(_points(np.nonzero(target), spacing))
        distances[far] = tree.query(_points(distant, spacing))[0]
    return distances


def _look_around(
    indices: Sequence[NDArray[np.int64]], target: Mask, spacing: Sequence[float]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the distances of voxels to targets within REACH, and positions of the other voxels."""
    offsets = _offsets(spacing)
    reach = np.abs(offsets).max(axis=0)
    padded = np.ascontiguousarray(np.pad(target, [(int(width), int(width)) for width in reach]))
    flat, steps = padded.ravel(), np.array(padded.strides)  # of booleans, so bytes are voxels
    places = np.stack(indices, axis=1) @ steps + reach @ steps
    distances, left = np.full(places.size, np.inf, np.float32), np.arange(places.size)
    for offset in offsets:
        hit = flat[places + offset @ steps]
        distances[left[hit]] = np.linalg.norm(offset * np.asarray(spacing))
        left, places = left[~hit], places[~hit]
    return distances, left


def _offsets(spacing: Sequence[float]) -> NDArray[np.int64]:
    """Return all offsets (N, axes) in voxels that are no longer than REACH, shortest first."""
    longest = REACH * min(spacing) * (1 + 1e-6)
    reach = [int(longest // edge) for edge in spacing]
    grid = itertools.product(*(range(-size, size + 1) for size in reach))
    offsets = np.array(list(grid), np.int64)
    lengths = np.linalg.norm(offsets * np.asarray(spacing), axis=1)
    order = np.argsort(lengths, kind="stable")
    return np.asarray(offsets[order[lengths[order] <= longest]])


def _transform(target: Mask, spacing: Sequence[float]) -> NDArray[np.float32]:
    # edt returns the distance to the nearest zero, so the target must be zero. Bytes take a third
    # less time than booleans.
    edges = tuple(spacing) if len(spacing) > 1 else spacing[0]
    background = np.ascontiguousarray(~target).view(np.uint8)
    field = edt.edt(background, anisotropy=edges, parallel=1)
    return np.asarray(field, np.float32)


def _points(indices: Sequence[NDArray[np.int64]], spacing: Sequence[float]) -> NDArray[np.float64]:
    return np.stack([index * edge for index, edge in zip(indices, spacing, strict=True)], axis=1)
