"""The constant border of a scan, as cropping and anonymization leave it.

nnU-Net assumes a border of zeros, but the border of a scan that is already z-scored may be -3.6.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def border_values(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return the corner value of each channel of (C, X, Y, Z); None if corners differ."""
    # Read only single voxels: a plane across X would load every page of a mapped file.
    x, y, z = np.ix_([0, -1], [0, -1], [0, -1])
    corners = np.asarray(array[:, x, y, z]).reshape(array.shape[0], -1)
    values = corners[:, 0]
    return None if np.any(corners != values[:, None]) else values


def differs(part: NDArray[Any], values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return the mask of voxels that differ from the border in any channel.

    Args:
        part: part (C, X, Y, Z) of a scan.
        values: border value of each channel.
    """
    mask: NDArray[np.bool_] = part[0] != values[0]
    for channel, value in zip(part[1:], values[1:], strict=True):
        mask |= channel != value
    return mask
