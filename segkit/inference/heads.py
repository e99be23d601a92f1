"""The last layers of one network or several, applied once to averaged features instead of to every window.

A last layer is a convolution of one voxel, so a mean over windows, mirrorings and networks and a linear resampling may
as well be taken before it. Its features are then what has to be kept, however many labels there are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Heads:
    """What enters the last layers of networks that agree on their outputs, and the last layers as one."""

    features_of: list[Callable[[Tensor], Tensor]]
    """Of each network: windows (B, C, X, Y[, Z]) to what enters its last layer."""
    kernel: Tensor
    """(K, F): the kernels of all, beside each other, each divided by the number of networks."""
    bias: Tensor
    """(K, 1): their mean."""

    @classmethod
    def of(cls, networks: Sequence[nn.Module]) -> Heads | None:
        """None where a network does not tell its features, or ends in something else."""
        features = [getattr(network, "features", None) for network in networks]
        heads = [getattr(network, "head", None) for network in networks]
        if not all(map(callable, features)) or not all(map(_is_pointwise, heads)):
            return None
        kernels = torch.cat([head.weight.detach().flatten(1) for head in heads if head is not None], dim=1)
        biases = torch.stack([head.bias.detach() for head in heads if head is not None])
        kernel = kernels.float().cpu() / len(networks)
        return cls([each for each in features if each is not None], kernel, biases.float().cpu().mean(0)[:, None])

    @property
    def width(self) -> int:
        """Features of all networks."""
        return self.kernel.shape[1]

    def features(self, windows: Tensor) -> Tensor:
        """(B, F, X, Y[, Z]), float32: those of all networks, one network's after the other's."""
        return torch.cat([features(windows).float() for features in self.features_of], dim=1)

    def scores(self, features: Tensor) -> Tensor:
        """Mean scores (K, ...) of features (F, ...), on the CPU as they are."""
        return torch.addmm(self.bias, self.kernel, features.flatten(1)).reshape(-1, *features.shape[1:])


def _is_pointwise(head: nn.Module | None) -> bool:
    if not isinstance(head, nn.Conv2d | nn.Conv3d) or head.bias is None:
        return False
    return set(head.kernel_size) == {1} and set(head.stride) == {1} and head.groups == 1
