"""Find the content of a scan: the box inside its constant border."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.io.border import border_values, differs
from segkit.io.memory_map import blocks
from segkit.volume import Box

_OTHERS = ((1, 2), (0, 2), (0, 1))
"""The two other axes of each axis X, Y, Z."""


def content_mask(array: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Return the mask (X, Y, Z) of voxels that differ from the constant border in any channel.

    The result is None if there is no such border: the eight corners differ in some channel.

    Args:
        array: voxels (C, X, Y, Z).
    """
    values = border_values(array)
    if values is None:
        return None
    mask = np.empty(array.shape[1:], np.bool_)
    for box, block_mask in _content_blocks(array, values):
        mask[box] = block_mask
    return mask


def content_box(array: NDArray[Any]) -> Box:
    """Return the box around `content_mask`; the whole grid if there is no border or no content."""
    values = border_values(array)
    if values is None:
        return mask_box(None, array.shape[1:])
    projections = [np.zeros(size, np.bool_) for size in array.shape[1:]]
    for box, mask in _content_blocks(array, values):
        for projection, span, others in zip(projections, box, _OTHERS, strict=True):
            projection[span] |= np.any(mask, axis=others)
    return _box(projections)


def _content_blocks(
    array: NDArray[Any], values: NDArray[Any]
) -> Iterator[tuple[tuple[slice, ...], NDArray[np.bool_]]]:
    """Yield boxes that together cover a scan, each with the mask of its content."""
    for box in blocks(array[0]):
        yield box, differs(array[:, *box], values)


def mask_box(mask: NDArray[np.bool_] | None, shape: tuple[int, ...]) -> Box:
    """Return the smallest box around a mask (X, Y, Z); the whole grid for None or an empty mask."""
    if mask is None:
        return (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    return _box([np.any(mask, axis=others) for others in _OTHERS])


def _box(projections: Sequence[NDArray[np.bool_]]) -> Box:
    """Return the box of a mask, given its projections onto X, Y and Z."""
    x, y, z = (_span(line) if line.any() else slice(0, len(line)) for line in projections)
    return (x, y, z)


def _span(line: NDArray[np.bool_]) -> slice:
    inside = np.flatnonzero(line)
    return slice(int(inside[0]), int(inside[-1]) + 1)
