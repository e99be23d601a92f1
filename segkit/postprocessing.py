"""What may be done to a label map after prediction."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import cc3d
import numpy as np
from numpy.typing import DTypeLike, NDArray


def keep_labels(labels: NDArray[Any], values: Sequence[int]) -> NDArray[Any]:
    """A label map in which every value but ``values`` has become background; any shape.

    >>> keep_labels(np.array([0, 1, 2, 3]), [2, 3]).tolist()
    [0, 0, 2, 3]
    """
    return np.where(np.isin(labels, values), labels, np.zeros((), labels.dtype))


def remove_small_blobs(labels: NDArray[Any], spacing: Sequence[float], minimum: float) -> NDArray[Any]:
    """A label map (X, Y, Z) without the connected pieces of a label that are smaller than ``minimum``.

    Args:
        labels: label values; voxels that touch at a corner are connected.
        spacing: voxel edges in mm.
        minimum: volume in mm3 from which a piece stays.
    """
    pieces = cc3d.connected_components(labels, connectivity=26)
    sizes = cc3d.statistics(pieces)["voxel_counts"] * math.prod(spacing)
    small = sizes < minimum
    small[0] = False
    return np.where(small[pieces], np.zeros((), labels.dtype), labels)


def merge_regions(masks: Iterable[NDArray[np.bool_]], values: Sequence[int], dtype: DTypeLike) -> NDArray[Any]:
    """One label map from the masks of overlapping regions, each written with its value over those before it.

    >>> whole, core = np.array([[True, True, False], [False, True, False]])
    >>> merge_regions([whole, core], [1, 2], np.uint8).tolist()
    [1, 2, 0]
    """
    merged = np.zeros((), dtype)
    for mask, value in zip(masks, values, strict=True):
        merged = np.where(mask, np.asarray(value, dtype), merged)
    return merged
