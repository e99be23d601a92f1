"""Measure the intensities across the edges of labels, by which label map and image are compared.

At each face between a voxel of a label and a voxel outside of it, the intensities are read along
the line through both, REACH voxels to either side. Their means over the faces of each of the six
directions are the profile of the label. Where a label map fits its image, its profile is like that
of the other cases, whatever the unit of the intensities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.volume import Box

REACH = 4
"""Number of voxels on either side of a face whose intensities are read."""
MOST_FACES = 4000
"""Largest number of faces of a label in each direction that are read, evenly spread."""
MOST_VOXELS = 1 << 22
"""Size of a label's box in voxels above which faces are sought only on every k-th line."""
FEWEST_FACES = 5
"""Smallest number of faces in a direction for a mean."""
OFFSETS = np.arange(1 - REACH, REACH + 1)
"""Positions along the line, in voxels from the last voxel inside; positive ones are outside."""


@dataclass(frozen=True, eq=False)
class EdgeProfile:
    """Mean intensities across the edge of a label."""

    values: NDArray[np.float32]
    """Intensities (6 * C, 2 * REACH), from inside to outside, for the directions of each channel.

    The directions are X, -X, Y, -Y, Z, -Z. Each channel has the mean 0 and the standard deviation
    1 over all that was read. NaN where there are too few faces.
    """
    faces: NDArray[np.float32]
    """Number of faces (6,) in each direction."""


def edge_profile(
    array: NDArray[Any], indices: NDArray[Any], classes: Sequence[int], box: Box, labels: int
) -> EdgeProfile:
    """Return the profile of one label.

    Args:
        array: the scan (C, X, Y, Z).
        indices: label map (X, Y, Z); the index above ``labels`` is not annotated.
        classes: the indices that are part of the label.
        box: a box around all its voxels.
        labels: number of indices of labels.
    """
    inside = np.zeros(labels + 2, bool)
    inside[list(classes)] = True
    outside = ~inside
    outside[labels + 1 :] = False
    wide = tuple(
        slice(max(0, span.start - 1), min(size, span.stop + 1))
        for span, size in zip(box, indices.shape, strict=True)
    )
    part = indices[wide]
    first = np.array([span.start for span in wide])
    own, others = inside[part], outside[part]
    read = [
        _along(array, _faces(own, others, axis, sign) + first, axis, sign)
        for axis in range(3)
        for sign in (1, -1)
    ]
    return _standardized([values for values, _ in read], [valid for _, valid in read])


def _faces(
    inside: NDArray[np.bool_], outside: NDArray[np.bool_], axis: int, sign: int
) -> NDArray[np.intp]:
    """Return the voxels (N, 3) inside whose neighbor in a direction is outside, evenly spread."""
    step = 1
    while inside.size / step**2 > MOST_VOXELS:
        step += 1
    lines = tuple(slice(None) if each == axis else slice(None, None, step) for each in range(3))
    stop = inside.shape[axis]
    low = tuple(slice(0, stop - 1) if each == axis else slice(None) for each in range(3))
    high = tuple(slice(1, stop) if each == axis else slice(None) for each in range(3))
    own, other = (low, high) if sign > 0 else (high, low)
    found = np.argwhere(inside[lines][own] & outside[lines][other])
    voxels = found[:: max(1, -(-len(found) // MOST_FACES))]
    for each in range(3):
        if each != axis:
            voxels[:, each] *= step
        elif sign < 0:
            voxels[:, each] += 1
    return voxels


def _along(
    array: NDArray[Any], voxels: NDArray[np.intp], axis: int, sign: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Return the intensities (C, N, 2 * REACH) along the lines, and which (N, 2 * REACH) exist."""
    places = np.repeat(voxels[:, None], len(OFFSETS), axis=1)
    places[:, :, axis] += sign * OFFSETS
    size = array.shape[1 + axis]
    valid = (places[:, :, axis] >= 0) & (places[:, :, axis] < size)
    np.clip(places[:, :, axis], 0, size - 1, out=places[:, :, axis])
    x, y, z = np.moveaxis(places, 2, 0)
    return np.asarray(array[:, x, y, z], dtype=np.float64), valid


def _standardized(
    values: Sequence[NDArray[np.float64]], valid: Sequence[NDArray[np.bool_]]
) -> EdgeProfile:
    """Return the means over the faces of each direction, standardized for each channel."""
    every = np.concatenate([each[:, ok] for each, ok in zip(values, valid, strict=True)], axis=1)
    count = np.stack([ok.sum(axis=0) for ok in valid])
    sums = np.stack([(each * ok).sum(axis=1) for each, ok in zip(values, valid, strict=True)], 1)
    means = np.where(count >= FEWEST_FACES, sums / np.maximum(count, 1), np.nan)
    if every.shape[1]:
        spread = every.std(axis=1)[:, None, None]
        means = (means - every.mean(axis=1)[:, None, None]) / np.where(spread > 0, spread, 1)
    faces = np.array([len(ok) for ok in valid], np.float32)
    return EdgeProfile(means.reshape(-1, len(OFFSETS)).astype(np.float32), faces)
