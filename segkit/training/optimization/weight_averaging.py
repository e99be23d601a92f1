"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn


def averaged_copy(network: nn.Module) -> nn.Module:
    """A copy to hold the average; it is never trained."""
    return copy.deepcopy(network).requires_grad_(False).eval()


class RunningAverage:
    """Moves ``average``, a copy of ``network``, towards it.

    Their values are looked up once, for walking through all modules took longer than averaging a small network: whoever
    moves them to another device, which gives them other buffers, makes this anew.
    """

    def __init__(self, average: nn.Module, network: nn.Module) -> None:
        pairs = list(zip(_values(average), _values(network), strict=True))
        self._floating = [pair for pair in pairs if pair[0].is_floating_point()]
        self._whole = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, decay: float, step: int) -> None:
        """One step. Early on the decay is smaller, so that the random start is forgotten.

        Floating buffers are averaged as well (else a BatchNorm network would predict from its first statistics), whole
        numbers are copied.
        """
        weight = 1 - min(decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            [kept for kept, _ in self._floating], [new for _, new in self._floating], weight
        )
        for kept, new in self._whole:
            kept.copy_(new)


def _values(network: nn.Module) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()
