"""What may be done to a label map after prediction."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import cc3d
import numpy as np
from numpy.typing import DTypeLike, NDArray
from scipy import ndimage


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


def keep_largest(labels: NDArray[Any], value: int) -> NDArray[Any]:
    """A label map (X, Y, Z) in which only the largest connected piece of the label ``value`` is left.

    Voxels that touch at a corner are connected; of equally large pieces one stays, always the same.
    """
    # Not as bool: cc3d 4.1 fails on a row of such voxels.
    mask = (labels == value).view(np.uint8)
    boxes = ndimage.find_objects(mask)
    if not boxes:
        return labels
    pieces = cc3d.connected_components(mask[boxes[0]], connectivity=26)
    sizes = cc3d.statistics(pieces)["voxel_counts"]
    largest = 1 + int(np.argmax(sizes[1:]))
    kept = labels.copy()
    kept[boxes[0]][(pieces > 0) & (pieces != largest)] = 0
    return kept


RULES: dict[str, Callable[[NDArray[Any], int], NDArray[Any]]] = {"largest": keep_largest}
"""What a model may ask for, by label: the name that its bundle.json holds -> (label map, value) -> label map."""


def apply_rules(labels: NDArray[Any], rules: Mapping[int, str]) -> NDArray[Any]:
    """A label map (X, Y, Z) after the rule of every label, from its value to a name in RULES."""
    for value, rule in rules.items():
        labels = RULES[rule](labels, value)
    return labels
