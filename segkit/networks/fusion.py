"""Merge layers that a prediction need not compute window by window.

In prediction, standardized kernels do not change, and BatchNorm and batch renormalization are a
scale and a shift per channel, which the convolution before them can include.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from segkit.networks.blocks import CONVOLUTIONS
from segkit.networks.kernels.convolution import Conv2d, Conv3d
from segkit.networks.kernels.weight_standardization import StandardizedConv2d, StandardizedConv3d
from segkit.networks.norm import BatchStatisticsNorm, scale_and_shift
from segkit.networks.openvino_graph import KNOWN_NETWORKS


@torch.no_grad()
def fuse(network: nn.Module) -> nn.Module:
    """Replace layers of one of segkit's U-Nets in place, and return it.

    It must be in evaluation mode and cannot be trained afterwards. Only the rounding of float32
    changes: the output of a layer by 1e-6 of the largest value or less. Networks of other packages
    are returned as they are.

    Raises:
        TypeError: a network in training mode.
    """
    if network.training:
        raise TypeError("a network in training mode: call its eval() before merging its layers")
    if type(network) not in KNOWN_NETWORKS:
        return network
    for module in list(network.modules()):
        if isinstance(module, nn.Sequential):
            _fuse_children(module)
    return network


def _fuse_children(sequence: nn.Sequential) -> None:
    """Replace convolutions, and batch norms right after them, among the children."""
    for (name, layer), (next_name, norm) in pairwise(list(sequence.named_children())):
        if not isinstance(layer, Conv2d | Conv3d):
            continue
        if isinstance(norm, BatchStatisticsNorm):
            scale, shift = scale_and_shift(norm)
            setattr(sequence, name, _convolution(layer, _scaled(layer.kernel(), scale), shift))
            setattr(sequence, next_name, nn.Identity())
        elif isinstance(layer, StandardizedConv2d | StandardizedConv3d):
            setattr(sequence, name, _convolution(layer, layer.kernel(), layer.bias))


def _scaled(kernel: Tensor, scale: Tensor) -> Tensor:
    return (kernel * scale.view(-1, *[1] * (kernel.ndim - 1))).to(kernel.dtype)


def _convolution(layer: Conv2d | Conv3d, kernel: Tensor, bias: Tensor | None) -> nn.Module:
    """Return a convolution like ``layer`` with another kernel and bias, in evaluation mode."""
    with torch.device("meta"):  # its own weights need no memory
        plain = CONVOLUTIONS[kernel.ndim - 2](
            layer.in_channels,
            layer.out_channels,
            layer.kernel_size,
            layer.stride,
            padding=layer.padding,
            bias=bias is not None,
        )
    plain.weight = nn.Parameter(kernel, requires_grad=False)
    if bias is not None:
        plain.bias = nn.Parameter(bias.to(kernel.dtype), requires_grad=False)
    return plain.eval()
