"""Find what is not a constant border. nnU-Net's box looks for zeros; z-scored scans have a border of, say, -3.6."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = tuple[slice, slice, slice]


def content_mask(array: NDArray[Any]) -> NDArray[np.bool_] | None:
    """Voxels (X, Y, Z) of (C, X, Y, Z) where any channel differs from the value in its corners; None without border.

    There is no border where the eight corners of a channel differ.
    """
    corners = array[:, [0, -1]][:, :, [0, -1]][..., [0, -1]].reshape(array.shape[0], -1)
    values = corners[:, 0]
    if np.any(corners != values[:, None]):
        return None
    mask: NDArray[np.bool_] = array[0] != values[0]
    for channel, value in zip(array[1:], values[1:], strict=True):
        mask |= channel != value
    return mask


def content_box(array: NDArray[Any]) -> Box:
    """The box around `content_mask`; the whole grid without a border or without content."""
    return mask_box(content_mask(array), array.shape[1:])


def mask_box(mask: NDArray[np.bool_] | None, shape: tuple[int, ...]) -> Box:
    """The smallest box around the voxels of a mask (X, Y, Z); the whole grid for None or an empty mask."""
    if mask is None or not mask.any():
        return (slice(0, shape[0]), slice(0, shape[1]), slice(0, shape[2]))
    x, y, z = (_span(np.any(mask, axis=others)) for others in ((1, 2), (0, 2), (0, 1)))
    return (x, y, z)


def _span(line: NDArray[np.bool_]) -> slice:
    inside = np.flatnonzero(line)
    return slice(int(inside[0]), int(inside[-1]) + 1)
