"""The last layers of one network or several, applied once to averaged features instead of to every window.

A last layer is a convolution of one voxel, so a mean over windows, mirrorings and networks and a linear resampling may
as well be taken before it. Its features are then what has to be kept, however many labels there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segkit.networks.unet import UNet


@dataclass(frozen=True)
class Heads:
    """The last layers of networks that agree on their outputs, as one."""

    kernel: Tensor
    """(K, F): the kernels of all, beside each other, each divided by the number of networks."""
    bias: Tensor
    """(K, 1): their mean."""

    @classmethod
    def of(cls, networks: Sequence[nn.Module]) -> Heads | None:
        """None where a network is not one of segkit's own, of which alone it is known what comes after its features."""
        known = [network for network in networks if isinstance(network, UNet)]
        if len(known) < len(networks):
            return None
        layers = [network.head.state_dict() for network in known]
        kernels = torch.cat([layer["weight"].flatten(1) for layer in layers], dim=1)
        biases = torch.stack([layer["bias"] for layer in layers])
        share = 1 / len(known)
        bias = biases.float().cpu().sum(0)[:, None] * share
        return cls(kernels.float().cpu() * share, bias)

    @property
    def width(self) -> int:
        """Features of all networks."""
        return self.kernel.shape[1]

    def scores(self, features: Tensor) -> Tensor:
        """Mean scores (K, ...) of features (F, ...), one network's after the other's, on the CPU as they are."""
        return torch.addmm(self.bias, self.kernel, features.flatten(1)).reshape(
            -1, *features.shape[1:]
        )
