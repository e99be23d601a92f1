"""Numbers of voxels of each value in each plane of a label map, across all axes in one pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.labels.memory_order import in_memory_order, memory_order

Counts = NDArray[np.intp]


def plane_counts(labels: NDArray[Any], values: NDArray[Any]) -> list[Counts]:
    """Return how many voxels of each plane across X, Y and Z have each value.

    Most voxels are background, so only the others are counted: the number for the value 0 is 0.

    Args:
        labels: label map (X, Y, Z).
        values: all values that occur besides 0, in ascending order; more are allowed.

    Returns:
        Three arrays (planes, values).

    >>> plane_counts(np.array([[[7, 0]], [[7, 9]]]), np.array([7, 9]))[2].tolist()
    [[2, 0], [0, 1]]
    """
    ordered = in_memory_order(labels)
    lines, length = ordered.shape[2], len(values)
    counts = [np.zeros((size, length), np.intp) for size in ordered.shape]
    for plane, of_plane in zip(ordered, counts[0], strict=True):
        voxels = plane.ravel()
        places = np.flatnonzero(voxels)
        if not places.size:
            continue
        number = np.searchsorted(values, voxels[places])
        row, column = np.divmod(places, lines)
        of_plane[:] = np.bincount(number, minlength=length)
        counts[1] += _by_line(row, number, counts[1].shape)
        counts[2] += _by_line(column, number, counts[2].shape)
    return [counts[place] for place in np.argsort(memory_order(labels))]


def _by_line(line: Counts, number: Counts, shape: tuple[int, ...]) -> Counts:
    """Return how often each number occurs in each line, as an array of ``shape``."""
    lines, length = shape
    return np.bincount(line * length + number, minlength=lines * length).reshape(shape)
