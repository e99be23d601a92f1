"""Conversion of the values in label files to the class indices that a network learns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError
from segkit.io.memory import blocks
from segkit.labels.memory_order import in_memory_order, memory_order

BLOCK = 1 << 18
"""Number of voxels that are sought together; it takes 60 bytes for each that is not background."""
LISTED = 8
"""Number of values that a message lists."""
MANY_VALUES = 10
"""Number of unknown values from which they are assumed to be shades of blurred edges."""
FULL = 100
"""Smallest value that counts as foreground of an 8-bit mask, which is usually 255."""


def index_dtype(labels: int) -> type[np.uint8] | type[np.uint16]:
    """Return the smallest type that holds the indices 0 to ``labels``."""
    return np.uint8 if labels < 256 else np.uint16


def to_indices(
    values: NDArray[Any],
    labels: Mapping[str, int],
    subset: bool,
    where: str | Path,
    *,
    ignore: int | None = None,
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return the class index of every voxel: 0 for background, i + 1 for the i-th label.

    Args:
        values: whole numbers of a label file, any shape.
        labels: names and values of the labels.
        subset: whether values without a name become background.
        where: name of the file in messages.
        ignore: value of voxels that are not annotated; they get the index after the last label.

    Raises:
        InputError: the file has a value without a name, and ``subset`` is False.
    """
    numbered = [*labels.values(), *([] if ignore is None else [ignore])]
    index_of = {0: 0, **{value: index + 1 for index, value in enumerate(numbered)}}
    named = np.array(sorted(index_of))
    table = np.array([index_of[int(value)] for value in named], dtype=index_dtype(len(numbered)))
    indices = np.zeros(values.shape, table.dtype)
    # Most voxels are background, which need not be sought. The others are found fastest in the
    # order of the memory, which is not that of the axes in NIfTI.
    ordered, target = in_memory_order(values), indices.transpose(memory_order(values))
    for box in blocks(ordered, BLOCK):
        places = np.nonzero(ordered[box])
        found = ordered[box][places]
        nearest = np.minimum(np.searchsorted(named, found), len(named) - 1)
        unknown = named[nearest] != found
        if unknown.any() and not subset:
            raise _unknown_values(values, ~np.isin(values, named), labels, where)
        target[box][places] = np.where(unknown, 0, table[nearest])
    return indices


def _unknown_values(
    voxels: NDArray[Any], unknown: NDArray[np.bool_], labels: Mapping[str, int], where: str | Path
) -> InputError:
    values, numbers = np.unique(voxels[unknown], return_counts=True)
    # A scan in place of a label map may have millions of values: only a few are put into words.
    listed = zip(values[:LISTED], numbers[:LISTED], strict=True)
    counts = ", ".join(f"{value} ({count} voxels)" for value, count in listed)
    more = f" and {len(values) - LISTED} more" if len(values) > LISTED else ""
    named = ", ".join(f"{name} {value}" for name, value in list(labels.items())[:LISTED])
    return InputError(
        where,
        expected=f"only the values background 0, {named}{', ...' if len(labels) > LISTED else ''}",
        found=f"also {counts}{more}",
        remedy=_remedy(voxels, [int(value) for value in values[:MANY_VALUES]], labels),
        kind="label_values",
    )


def _remedy(voxels: NDArray[Any], unknown: Sequence[int], labels: Mapping[str, int]) -> str:
    choose = "choose labels with dataset.labels={NAME:VALUE,...}, which makes the others background"
    if len(unknown) >= MANY_VALUES:
        return (
            "So many values are the mark of smoothed (anti-aliased) or JPEG masks: save them again"
            " without either, values below the middle as 0. If they are labels, name them in the"
            f" dataset, or {choose}."
        )
    not_annotated = f"Where such voxels are not annotated, give dataset.ignore={unknown[0]}."
    name, value = next(iter(labels.items()), ("", 0))
    if len(labels) == len(unknown) == 1 and unknown[0] >= FULL and not (voxels == value).any():
        return (
            f"If {unknown[0]} is {name} here, save this mask with {value} in its place; if all"
            f" masks are so, give dataset.labels={{{name}:{unknown[0]}}}. {not_annotated}"
        )
    return f"Name these values in the dataset, or {choose}. {not_annotated}"
