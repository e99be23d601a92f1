"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn


def averaged_copy(network: nn.Module) -> nn.Module:
    """Return a copy that holds the average: in evaluation mode, without gradients."""
    return copy.deepcopy(network).requires_grad_(False).eval()


class RunningAverage:
    """Exponential moving average of ``network``, kept in its copy ``average``.

    The tensors are collected once, because walking through all modules took longer than averaging a
    small network. Create a new instance after moving the networks to another device, which gives
    them other buffers.
    """

    def __init__(self, average: nn.Module, network: nn.Module) -> None:
        pairs = list(zip(_tensors(average), _tensors(network), strict=True))
        self._floating = [pair for pair in pairs if pair[0].is_floating_point()]
        self._integer = [pair for pair in pairs if not pair[0].is_floating_point()]

    @torch.no_grad()
    def update(self, decay: float, step: int) -> None:
        """Update the average after training step ``step``.

        In early steps the decay is smaller, so that the random initialization is forgotten.
        Floating-point buffers are averaged as well, because a BatchNorm network would otherwise
        predict with the statistics of its first batch; integer buffers are copied.
        """
        weight = 1 - min(decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(
            [average for average, _ in self._floating],
            [current for _, current in self._floating],
            weight,
        )
        for average, current in self._integer:
            average.copy_(current)


def _tensors(network: nn.Module) -> Iterator[Tensor]:
    yield from network.parameters()
    yield from network.buffers()
