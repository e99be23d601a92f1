"""Channels-last memory layout, of batches of pictures and of volumes."""

from __future__ import annotations

import torch
from torch import Tensor

CHANNELS_LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
"""By the number of axes of a batch (B, C, ...)."""


def is_channels_last(x: Tensor) -> bool:
    """Whether ``x`` is in channels-last layout and not, as a tensor of one channel is, contiguous as well."""
    return (
        x.ndim in CHANNELS_LAST
        and x.is_contiguous(memory_format=CHANNELS_LAST[x.ndim])
        and not x.is_contiguous()
    )
