"""Channels-last memory format of batches in 2D and 3D."""

from __future__ import annotations

import torch
from torch import Tensor

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Memory format by the number of axes of a batch (B, C, X, Y[, Z])."""


def is_channels_last(x: Tensor) -> bool:
    """Return whether ``x`` is in channels-last format and not contiguous as well.

    A tensor with one channel, for example, is both.

    >>> is_channels_last(torch.zeros(1, 2, 3, 3).contiguous(memory_format=torch.channels_last))
    True
    >>> is_channels_last(torch.zeros(1, 1, 3, 3).contiguous(memory_format=torch.channels_last))
    False
    """
    return (
        x.ndim in CHANNELS_LAST
        and x.is_contiguous(memory_format=CHANNELS_LAST[x.ndim])
        and not x.is_contiguous()
    )
