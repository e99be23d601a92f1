"""Merge layers that a prediction need not compute window by window.

In prediction, standardized kernels and those of equivariant networks do not change, and BatchNorm
and batch renormalization are a scale and a shift per channel, which the convolution before them can
include.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from segkit.networks.blocks import CONVOLUTIONS, TRANSPOSED_CONVOLUTIONS
from segkit.networks.equivariant_layers import (
    OrbitConv2d,
    OrbitConv3d,
    OrbitConvTranspose2d,
    OrbitConvTranspose3d,
    OrbitNorm,
    ScoreConv2d,
    ScoreConv3d,
)
from segkit.networks.kernels.convolution import Conv2d, Conv3d
from segkit.networks.kernels.group_norm import GroupNorm
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
        for name, layer in module.named_children():
            setattr(module, name, _without_orbits(layer))
        if isinstance(module, nn.Sequential):
            _fuse_children(module)
    return network


def _without_orbits(layer: nn.Module) -> nn.Module:
    """Return the plain layer that computes the same as one of an equivariant network."""
    if isinstance(layer, OrbitNorm):
        return _group_norm(layer)
    if isinstance(layer, OrbitConvTranspose2d | OrbitConvTranspose3d):
        return _transposed(layer)
    if isinstance(layer, OrbitConv2d | OrbitConv3d | ScoreConv2d | ScoreConv3d):
        return _convolution(layer, layer.kernel(), layer.offset())
    return layer


def _group_norm(layer: OrbitNorm) -> nn.Module:
    plain = GroupNorm(layer.num_groups, layer.num_channels, layer.eps)
    return _filled(plain, *layer.scale_and_shift())


def _transposed(layer: OrbitConvTranspose2d | OrbitConvTranspose3d) -> nn.Module:
    with torch.device("meta"):
        plain = TRANSPOSED_CONVOLUTIONS[layer.weight.ndim - 2](
            layer.in_channels, layer.out_channels, layer.kernel_size, layer.stride
        )
    return _filled(plain, layer.kernel(), layer.offset())


def _filled(plain: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """Return ``plain`` with these weights, in evaluation mode."""
    plain.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        plain.bias = nn.Parameter(bias.to(weight.dtype).contiguous(), requires_grad=False)
    return plain.eval()


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
    return _filled(plain, kernel, bias)
