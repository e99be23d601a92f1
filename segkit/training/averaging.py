"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn


def averaged_copy(network: nn.Module) -> nn.Module:
    """A copy to hold the average; it is never trained."""
    return copy.deepcopy(network).requires_grad_(False).eval()


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Move ``average`` towards ``network``.

    Floating buffers are averaged as well (else a BatchNorm network would predict from its first statistics), whole
    numbers are copied. Early on the decay is smaller, so that the random start is forgotten.
    """
    weight = 1 - min(decay, (1 + step) / (10 + step))
    pairs = list(zip(_values(average), _values(network), strict=True))
    floating = [(kept, new.to(kept.dtype)) for kept, new in pairs if kept.is_floating_point()]
    torch._foreach_lerp_([kept for kept, _ in floating], [new for _, new in floating], weight)
    for kept, new in pairs:
        if not kept.is_floating_point():
            kept.copy_(new)


def _values(network: nn.Module) -> Iterator[Tensor]:
    """Parameters and buffers; a dictionary of them would be made anew in every step."""
    yield from network.parameters()
    yield from network.buffers()
