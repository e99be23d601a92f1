"""U-Net whose scores turn with its input, for turns by 90 degrees and reflections of the axes.

It is the U-Net of the plan with regular representations (Cohen & Welling, arXiv 1602.07576): every
channel has as many moved copies as the group has elements, and together they form an orbit. The
numbers of channels in the plan count all of them, so that memory and multiply-adds are those of a
plain U-Net of the same widths; weights are as many times fewer as the group has elements.

What breaks the symmetry of an ordinary U-Net is replaced: strided convolutions, which at even sizes
see the two ends of an axis differently, by averages over blocks; norm groups and scales that split
orbits; and a head that prefers some orientation.
"""

from __future__ import annotations

import torch
from torch import nn

from segkit.networks.blocks import initialize
from segkit.networks.equivariant_layers import (
    OrbitConv2d,
    OrbitConv3d,
    OrbitConvTranspose2d,
    OrbitConvTranspose3d,
    OrbitNorm,
    ScoreConv2d,
    ScoreConv3d,
    WindowSymmetry,
)
from segkit.networks.kernels.convolution import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d
from segkit.networks.kernels.group_norm import GroupNorm
from segkit.networks.kernels.orbit_kernel import orbit_channels, unmoved_channels
from segkit.networks.unet import UNet
from segkit.plans.plan import Plan
from segkit.plans.symmetry_rules import moved_outputs, window_elements


class EquivariantUNet(UNet):
    """U-Net for which ``network(g x) = g network(x)`` for every element g of the plan's symmetry.

    It holds for images whose edges are multiples of the plan's divisor, whether or not they are
    equal. A reflection also exchanges the scores of the plan's ``mirror_swaps``.
    """

    def __init__(self, plan: Plan) -> None:
        with torch.device("meta"):  # weights of these layers are never used
            super().__init__(plan)
        self.symmetry = window_symmetry(plan)
        self._replace_layers()
        self.head = score_layer(self.head, self.symmetry)
        self.deep_heads = nn.ModuleList(
            score_layer(head, self.symmetry) for head in self.deep_heads
        )
        initialize(self)
        _scale_heads(self)

    def _replace_layers(self) -> None:
        first = self.encoder.get_submodule("0.0.conv")
        for part in (self.encoder, self.decoder):
            for parent in list(part.modules()):
                for name, layer in parent.named_children():
                    new = equivariant_layer(layer, self.symmetry, image=layer is first)
                    setattr(parent, name, new)


def window_symmetry(plan: Plan) -> WindowSymmetry:
    """Return what the elements of the plan's symmetry do to windows and to outputs."""
    found = window_elements(plan)
    return WindowSymmetry(found, tuple(moved_outputs(plan, element) for element in found))


def equivariant_layer(layer: nn.Module, symmetry: WindowSymmetry, *, image: bool) -> nn.Module:
    """Return the equivariant layer in place of a plain one, without values; others as they are.

    Args:
        layer: a layer of a U-Net.
        symmetry: what the elements do to windows.
        image: True if the layer takes the image, whose channels stay, False if it takes orbits.
    """
    channels = (unmoved_channels if image else orbit_channels)(symmetry.elements)
    if isinstance(layer, Conv2d):
        return OrbitConv2d(layer, symmetry, channels)
    if isinstance(layer, Conv3d):
        return OrbitConv3d(layer, symmetry, channels)
    if isinstance(layer, ConvTranspose2d):
        return OrbitConvTranspose2d(layer, symmetry)
    if isinstance(layer, ConvTranspose3d):
        return OrbitConvTranspose3d(layer, symmetry)
    if isinstance(layer, GroupNorm):
        return OrbitNorm(layer, symmetry)
    return layer


def score_layer(head: nn.Module, symmetry: WindowSymmetry) -> nn.Module:
    """Return the equivariant layer in place of a plain head, without values.

    Raises:
        TypeError: the head is not a convolution.
    """
    if isinstance(head, Conv2d):
        return ScoreConv2d(head, symmetry)
    if isinstance(head, Conv3d):
        return ScoreConv3d(head, symmetry)
    raise TypeError(f"{type(head).__name__} is not a convolution to scores")


@torch.no_grad()
def _scale_heads(network: EquivariantUNet) -> None:
    """Make scores start about as large as those of a plain head.

    A score starts as a random sum of means over orbits: the channels of an orbit are all positive
    or near 0 after the activation, and their sum would grow with the order of the group.
    """
    for head in (network.head, *network.deep_heads):
        head.get_parameter("weight").div_(network.symmetry.order)
