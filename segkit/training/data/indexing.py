"""Gathering of voxels by index, in the ways that are fast on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor


def gather_flat(values: Tensor, index: Tensor) -> Tensor:
    """Return the elements of ``values`` (N,) at ``index`` (any shape, int32 or int64).

    >>> gather_flat(torch.tensor([5, 6, 7]), torch.tensor([[2, 0]]))
    tensor([[7, 5]])
    """
    return values.index_select(0, index.flatten()).view(index.shape)


def gather_along(values: Tensor, axis: int, index: Tensor) -> Tensor:
    """Return ``values.index_select(axis, index)`` for an ``index`` (n,) of int32.

    Along the last axis PyTorch copies element by element, which takes two to nine times as long as
    gathering from a flat array.

    >>> gather_along(torch.tensor([[1, 2, 3], [4, 5, 6]]), 1, torch.tensor([2, 0]).int())
    tensor([[3, 1],
            [6, 4]])
    """
    if axis != values.ndim - 1:
        return values.index_select(axis, index)
    rows = torch.arange(values.shape[:-1].numel(), dtype=torch.int32)[:, None]
    return gather_flat(values.flatten(), rows * values.shape[-1] + index).view(
        *values.shape[:-1], len(index)
    )
