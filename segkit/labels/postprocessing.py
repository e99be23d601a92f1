"""What may be done to a label map after prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from segkit.labels.components import erase_components, find_components, label_box

ROUNDING = 1e-9
"""Share of a volume that the last digits of an affine may take from a piece."""
BLOCK_VOXELS = 1 << 20


def present_values(labels: NDArray[Any]) -> list[int]:
    """The values in a label map of whole numbers, any shape, ascending.

    >>> present_values(np.array([[3, 0], [3, 1]]))
    [0, 1, 3]
    """
    return sorted({value for block in _blocks(labels) for value in np.unique(block).tolist()})


def _blocks(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Views that cover an array, each of which lies together in memory."""
    ordered = array.transpose(sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis])))
    if ordered.size <= BLOCK_VOXELS:
        yield ordered
        return
    many = BLOCK_VOXELS * len(ordered) // ordered.size
    for start in range(0, len(ordered), max(1, many)):
        yield from [ordered[start : start + many]] if many else _blocks(ordered[start])


def keep_labels(labels: NDArray[Any], values: Sequence[int]) -> NDArray[Any]:
    """A label map in which every value but ``values`` has become background; any shape.

    >>> keep_labels(np.array([0, 1, 2, 3]), [2, 3]).tolist()
    [0, 0, 2, 3]
    """
    kept = labels.copy(order="K")
    for block in _blocks(kept):
        block[~np.isin(block, values)] = 0
    return kept


def has_label(labels: NDArray[Any], values: Sequence[int]) -> NDArray[np.bool_]:
    """Where a label map, any shape, has one of ``values``.

    >>> has_label(np.array([0, 1, 2, 3]), [2, 3]).tolist()
    [False, False, True, True]
    """
    mask = np.empty_like(labels, np.bool_)
    for found, block in zip(_blocks(mask), _blocks(labels), strict=True):
        found[...] = np.isin(block, values)
    return mask


def remove_small_blobs(labels: NDArray[Any], voxel_volume: float, minimum: float) -> NDArray[Any]:
    """A label map (X, Y, Z) without the connected pieces of a label that are smaller than ``minimum``.

    Args:
        labels: label values; voxels that touch at a corner are connected.
        voxel_volume: of one voxel in mm3, by the determinant of the affine: where slices are tilted, the product of the
            edges is too much.
        minimum: volume in mm3 from which a piece stays.
    """
    pieces, kept = find_components(labels), labels.copy(order="K")
    erase_components(kept, pieces, pieces.voxels * voxel_volume < minimum * (1 - ROUNDING))
    return kept


def merge_regions(
    masks: Iterable[NDArray[np.bool_]], values: Sequence[int], dtype: DTypeLike
) -> NDArray[Any]:
    """One label map from the masks of overlapping regions, each written with its value over those before it.

    >>> whole, core = np.array([[True, True, False], [False, True, False]])
    >>> merge_regions([whole, core], [1, 2], np.uint8).tolist()
    [1, 2, 0]
    """
    merged: NDArray[Any] | None = None
    for mask, value in zip(masks, values, strict=True):
        merged = np.zeros(mask.shape, dtype) if merged is None else merged
        merged[mask] = value
    if merged is None:
        raise ValueError("no region")
    return merged


def keep_largest(labels: NDArray[Any], value: int) -> NDArray[Any]:
    """A label map (X, Y, Z) in which only the largest connected piece of the label ``value`` is left.

    Voxels that touch at a corner are connected; of equally large pieces one stays, always the same.
    """
    box = label_box(labels, value)
    if box is None:
        return labels
    pieces = find_components(labels[box], of=[value])
    kept = labels.copy(order="K")
    erase_components(kept[box], pieces, np.arange(pieces.voxels.size) != np.argmax(pieces.voxels))
    return kept


RULES: dict[str, Callable[[NDArray[Any], int], NDArray[Any]]] = {"largest": keep_largest}
"""What a model may ask for, by label: the name that its bundle.json holds -> (label map, value) -> label map."""


def apply_rules(labels: NDArray[Any], rules: Mapping[int, str]) -> NDArray[Any]:
    """A label map (X, Y, Z) after the rule of every label, from its value to a name in RULES."""
    for value, rule in rules.items():
        labels = RULES[rule](labels, value)
    return labels
