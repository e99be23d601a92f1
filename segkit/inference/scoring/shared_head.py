"""Last layers of one or several networks, applied once to averaged features.

A last layer is a 1x1x1 convolution, which is linear. The mean over windows, mirrorings and networks
and the resampling to the scan's grid give the same result before it as after it. With this layer
last, only features are held in memory, however many labels there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segkit.networks.kernels.convolution import Conv2d, Conv3d
from segkit.networks.unet import UNet


@dataclass(frozen=True)
class Heads:
    """Last layers of networks with the same outputs, combined into one layer."""

    kernel: Tensor
    """Kernels (K, F) of all networks side by side, each divided by the number of networks."""
    bias: Tensor
    """Mean (K, 1) of the biases."""

    @classmethod
    def of(cls, networks: Sequence[nn.Module]) -> Heads | None:
        """Return the combined last layers of ``networks``.

        None where a network is not segkit's own, because it may do more after its features.
        """
        unets = [network for network in networks if isinstance(network, UNet)]
        if len(unets) < len(networks):
            return None
        layers = [_weights(network.head) for network in unets]
        kernels = torch.cat([kernel.flatten(1) for kernel, _ in layers], dim=1)
        biases = torch.stack([bias for _, bias in layers])
        share = 1 / len(unets)
        bias = biases.float().cpu().sum(0)[:, None] * share
        return cls(kernels.float().cpu() * share, bias)

    @property
    def width(self) -> int:
        """Number of features of all networks together."""
        return self.kernel.shape[1]

    def scores(self, features: Tensor) -> Tensor:
        """Return the mean scores (K, ...) of features (F, ...), which are on the CPU.

        The features of the networks follow one after the other.
        """
        scores = torch.addmm(self.bias, self.kernel, features.flatten(1))
        return scores.reshape(-1, *features.shape[1:])


@torch.no_grad()
def _weights(head: nn.Module) -> tuple[Tensor, Tensor]:
    """Return kernel (K, F, ...) and bias (K,) of a last layer, as the layer uses them."""
    if not isinstance(head, Conv2d | Conv3d):
        raise TypeError(f"{type(head).__name__} is not the last layer of a U-Net")
    bias = head.offset()
    return head.kernel(), torch.zeros(head.out_channels) if bias is None else bias
