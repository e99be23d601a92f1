"""Order in which the voxels of an array lie in memory, which is the fastest one to read them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray


def memory_order(array: NDArray[Any]) -> list[int]:
    """Return the axes of an array from the slowest to the fastest one in memory.

    >>> import numpy as np
    >>> memory_order(np.zeros((2, 3, 4), order="F"))
    [2, 1, 0]
    """
    return sorted(range(array.ndim), key=lambda axis: -abs(array.strides[axis]))


def in_memory_order(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view with the axes of `memory_order`."""
    return array.transpose(memory_order(array))
