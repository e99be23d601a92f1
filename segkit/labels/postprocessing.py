"""Postprocessing of label maps: keep labels or the largest component, remove small ones, merge."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from segkit.labels.components import erase_components, find_components, label_box
from segkit.labels.memory_order import in_memory_order

ROUNDING = 1e-9
"""Relative error of the volume of a component, from rounding in the affine."""
BLOCK_VOXELS = 1 << 20
"""Largest number of voxels that are processed together."""


def present_values(labels: NDArray[Any]) -> list[int]:
    """Return the values in a label map of any shape, in ascending order.

    >>> present_values(np.array([[3, 0], [3, 1]]))
    [0, 1, 3]
    """
    found: set[int] = set()
    for block in _blocks(labels):
        # Most voxels are background, which need not be sorted.
        marked = block[block != 0]
        found.update(np.unique(marked).tolist())
        if marked.size < block.size:
            found.add(0)
    return sorted(found)


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield contiguous views that cover an array."""
    ordered = in_memory_order(array)
    if ordered.size <= BLOCK_VOXELS:
        yield ordered
        return
    planes = BLOCK_VOXELS * len(ordered) // ordered.size
    for start in range(0, len(ordered), max(1, planes)):
        if planes:
            yield ordered[start : start + planes]
        else:
            yield from _blocks(ordered[start])


def keep_labels(labels: NDArray[Any], values: Sequence[int]) -> NDArray[Any]:
    """Return a label map of any shape in which all values but ``values`` are background.

    >>> keep_labels(np.array([0, 1, 2, 3]), [2, 3]).tolist()
    [0, 0, 2, 3]
    """
    kept = labels.copy(order="K")
    for block in _blocks(kept):
        block[~np.isin(block, values)] = 0
    return kept


def has_label(labels: NDArray[Any], values: Sequence[int]) -> NDArray[np.bool_]:
    """Return a mask of the voxels of a label map of any shape that have one of ``values``.

    >>> has_label(np.array([0, 1, 2, 3]), [2, 3]).tolist()
    [False, False, True, True]
    """
    mask = np.empty_like(labels, np.bool_)
    for mask_block, block in zip(_blocks(mask), _blocks(labels), strict=True):
        mask_block[...] = np.isin(block, values)
    return mask


def remove_small_blobs(labels: NDArray[Any], voxel_volume: float, minimum: float) -> NDArray[Any]:
    """Return a label map without the connected components that are smaller than ``minimum``.

    Args:
        labels: label values (X, Y, Z); voxels that touch at a corner are connected.
        voxel_volume: volume of one voxel in mm3, from the determinant of the affine; with a tilted
            gantry the product of the voxel spacing is too large.
        minimum: smallest volume in mm3 of a component that is kept.

    >>> row = np.array([1, 1, 0, 1], np.uint8).reshape(4, 1, 1)
    >>> remove_small_blobs(row, voxel_volume=1.0, minimum=2.0).ravel().tolist()
    [1, 1, 0, 0]
    """
    components, kept = find_components(labels), labels.copy(order="K")
    too_small = components.voxels * voxel_volume < minimum * (1 - ROUNDING)
    erase_components(kept, components, too_small)
    return kept


def merge_regions(
    masks: Iterable[NDArray[np.bool_]], values: Sequence[int], dtype: DTypeLike
) -> NDArray[Any]:
    """Return one label map of overlapping regions; later regions overwrite earlier ones.

    Args:
        masks: mask of each region, all of one shape.
        values: value of each region.
        dtype: type of the label map.

    >>> whole, core = np.array([[True, True, False], [False, True, False]])
    >>> merge_regions([whole, core], [1, 2], np.uint8).tolist()
    [1, 2, 0]

    Raises:
        ValueError: there is no region.
    """
    merged: NDArray[Any] | None = None
    for mask, value in zip(masks, values, strict=True):
        merged = np.zeros(mask.shape, dtype) if merged is None else merged
        merged[mask] = value
    if merged is None:
        raise ValueError("no region")
    return merged


def keep_largest(labels: NDArray[Any], value: int) -> NDArray[Any]:
    """Return a label map (X, Y, Z) with only the largest connected component of one label.

    Voxels that touch at a corner are connected. If several components are largest, the first is
    kept.

    >>> keep_largest(np.array([1, 0, 1, 1], np.uint8).reshape(4, 1, 1), 1).ravel().tolist()
    [0, 0, 1, 1]
    """
    box = label_box(labels, value)
    if box is None:
        return labels
    components = find_components(labels[box], merged=[value])
    kept = labels.copy(order="K")
    is_smaller = np.arange(components.voxels.size) != np.argmax(components.voxels)
    erase_components(kept[box], components, is_smaller)
    return kept


RULES: dict[str, Callable[[NDArray[Any], int], NDArray[Any]]] = {"largest": keep_largest}
"""Postprocessing rules for a label, by their names in bundle.json.

Each takes a label map and the value of the label, and returns a label map.
"""


def apply_rules(labels: NDArray[Any], rules: Mapping[int, str]) -> NDArray[Any]:
    """Apply postprocessing rules to a label map and return the result.

    Args:
        labels: label map (X, Y, Z).
        rules: value of a label -> name in RULES.
    """
    for value, rule in rules.items():
        labels = RULES[rule](labels, value)
    return labels
