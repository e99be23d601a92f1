"""From the values of label files to the indices that a network learns."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from segkit.errors import InputError

LISTED = 8


def index_dtype(labels: int) -> type[np.uint8] | type[np.uint16]:
    """The smallest type that holds the indices 0 to ``labels``."""
    return np.uint8 if labels < 256 else np.uint16


def to_indices(
    values: NDArray[Any], labels: Mapping[str, int], subset: bool, where: str | Path
) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Integers of a label file, any shape, to 0 for background and i + 1 for the i-th of ``labels``.

    Raises:
        InputError: a value that is not named, unless ``subset`` makes it background.
    """
    found, inverse = np.unique(values, return_inverse=True)
    index_of = {0: 0, **{value: index + 1 for index, value in enumerate(labels.values())}}
    unknown = [int(value) for value in found if int(value) not in index_of]
    if unknown and not subset:
        raise _unknown_values(values, unknown, labels, where)
    table = np.array([index_of.get(int(value), 0) for value in found], dtype=index_dtype(len(labels)))
    return np.asarray(table[inverse]).reshape(values.shape)


def _unknown_values(
    values: NDArray[Any], unknown: list[int], labels: Mapping[str, int], where: str | Path
) -> InputError:
    counts = [f"{value} ({int((values == value).sum())} voxels)" for value in unknown[:LISTED]]
    more = f" and {len(unknown) - LISTED} more" if len(unknown) > LISTED else ""
    named = ", ".join(f"{name} {value}" for name, value in list(labels.items())[:LISTED])
    return InputError(
        where,
        expected=f"only the values background 0, {named}{', ...' if len(labels) > LISTED else ''}",
        found=f"also {', '.join(counts)}{more}",
        remedy="Name these values in the dataset, or choose labels with dataset.labels={NAME:VALUE,...}, which makes"
        " the others background.",
    )
