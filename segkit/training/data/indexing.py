"""Voxels gathered by index: what torch offers for it, in the ways that are fast on a CPU."""

from __future__ import annotations

import torch
from torch import Tensor


def at(values: Tensor, index: Tensor) -> Tensor:
    """Of ``values`` (N,) those at ``index``, in its shape; int32 will do."""
    return values.index_select(0, index.flatten()).view(index.shape)


def along(values: Tensor, axis: int, index: Tensor) -> Tensor:
    """What ``values.index_select(axis, index)`` returns, for an ``index`` (n,) int32.

    Along the last axis torch copies number by number, two to nine times as slowly as from a flat array.
    """
    if axis != values.ndim - 1:
        return values.index_select(axis, index)
    rows = torch.arange(values.shape[:-1].numel(), dtype=torch.int32)[:, None]
    return at(values.flatten(), rows * values.shape[-1] + index).view(
        *values.shape[:-1], len(index)
    )
