"""Find what is not a constant border. nnU-Net's box looks for zeros; z-scored scans have a border of, say, -3.6."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.memory_map import blocks
from segkit.volume import Box

_OTHERS = ((1, 2), (0, 2), (0, 1))
"""For each of X, Y, Z the two other axes."""


def content_mask(array: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Voxels (X, Y, Z) of (C, X, Y, Z) where any channel differs from the value in its corners; None without border.

    There is no border where the eight corners of a channel differ.
    """
    values = border_values(array)
    if values is None:
        return None
    mask = np.empty(array.shape[1:], np.bool_)
    for box in blocks(array[0]):
        mask[box] = differs(array[:, *box], values)
    return mask


def border_values(array: NDArray[Any]) -> NDArray[Any] | None:
    """Of each channel of (C, X, Y, Z), the value in its corners; None where they differ."""
    # Only these voxels: a plane of X would touch every page of a mapped file.
    x, y, z = np.ix_([0, -1], [0, -1], [0, -1])
    corners = np.asarray(array[:, x, y, z]).reshape(array.shape[0], -1)
    values = corners[:, 0]
    return None if np.any(corners != values[:, None]) else values


def differs(part: NDArray[Any], values: NDArray[Any]) -> NDArray[np.bool_]:
    """Where (X, Y, Z) any channel of a part (C, X, Y, Z) of a scan is not the value of its border."""
    mask: NDArray[np.bool_] = part[0] != values[0]
    for channel, value in zip(part[1:], values[1:], strict=True):
        mask |= channel != value
    return mask


def content_box(array: NDArray[Any]) -> Box:
    """The box around `content_mask`; the whole grid without a border or without content."""
    values = border_values(array)
    if values is None:
        return mask_box(None, array.shape[1:])
    lines = [np.zeros(size, np.bool_) for size in array.shape[1:]]
    for box in blocks(array[0]):
        mask = differs(array[:, *box], values)
        for line, span, others in zip(lines, box, _OTHERS, strict=True):
            line[span] |= np.any(mask, axis=others)
    return _box(lines)


def mask_box(mask: NDArray[np.bool_] | None, shape: tuple[int, ...]) -> Box:
    """The smallest box around the voxels of a mask (X, Y, Z); the whole grid for None or an empty mask."""
    if mask is None:
        return (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    return _box([np.any(mask, axis=others) for others in _OTHERS])


def _box(lines: Sequence[NDArray[np.bool_]]) -> Box:
    """From the first to the last place of each line (X, Y, Z) that is marked; all of them where none is."""
    x, y, z = (_span(line) if line.any() else slice(0, len(line)) for line in lines)
    return (x, y, z)


def _span(line: NDArray[np.bool_]) -> slice:
    inside = np.flatnonzero(line)
    return slice(int(inside[0]), int(inside[-1]) + 1)
