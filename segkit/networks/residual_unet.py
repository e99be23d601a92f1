"""U-Net with residual blocks in the encoder, after nnU-Net's ResEnc (arXiv 2404.09556)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from torch import Tensor, nn

from segkit.networks.blocks import ACTIVATIONS, POOLS, ConvBlock, Edges, convolution_before_norm
from segkit.networks.kernels.recompute import activated
from segkit.networks.norm import norm_layer
from segkit.networks.plan_check import unfit
from segkit.networks.unet import UNet
from segkit.plans.plan import LayerPlan, Plan

Block = tuple[LayerPlan, LayerPlan, LayerPlan | None]
"""Layers of the two convolutions, and of the one in the shortcut, if it needs one."""


class ResidualUNet(UNet):
    """U-Net with residual blocks in the encoder and plain convolutions in the decoder.

    The plan lists each block of an encoder stage as layers named ``*.conv1``, ``*.conv2`` and,
    where width or resolution change, ``*.skip``.
    """

    def __init__(self, plan: Plan) -> None:
        _check_blocks(plan)
        super().__init__(plan, residual_stage)


class ResidualBlock(nn.Module):
    """Two convolutions whose output is added to the shortcut, followed by the activation.

    The scale of the second norm starts at 0, so that a new block returns only its shortcut. A
    shortcut that changes the resolution is average-pooled; one that changes the width has a 1x1
    convolution and a norm.
    """

    def __init__(
        self, in_channels: int, block: Block, *, kernel: Edges, stride: Edges, activation: str
    ) -> None:
        super().__init__()
        first, second, skip = block
        ones = [1] * len(kernel)
        self.conv1 = ConvBlock(
            in_channels, first, kernel=kernel, stride=stride, activation=activation
        )
        self.conv2 = ConvBlock(first.channels, second, kernel=kernel, stride=ones, activation=None)
        self.shortcut = nn.Sequential() if skip is None else _shortcut(in_channels, skip, stride)
        self.activation = ACTIVATIONS[activation]()
        self.has_norm = second.norm != "none"
        if self.has_norm:
            nn.init.zeros_(self.conv2.get_parameter("norm.weight"))

    def forward(self, x: Tensor) -> Tensor:
        """Return (B, channels of conv2, X / stride, ...) for (B, in_channels, X, Y[, Z])."""
        return activated(self, self.conv2.conv(self.conv1(x)), self.shortcut[:-1](x))

    def normalize(self, *outputs: Tensor) -> Tensor:
        """Normalize the outputs of the second convolution and of the shortcut, and add them."""
        second, shortcut = outputs
        summed: Tensor = self.conv2.norm(second) + self.shortcut[-1:](shortcut)
        return summed


def residual_stage(
    in_channels: int, layers: Sequence[LayerPlan], *, kernel: Edges, stride: Edges, activation: str
) -> nn.Sequential:
    """Return residual blocks; arguments as `plain_stage`, ``stride`` for the first block."""
    stage = nn.Sequential()
    for block in _blocks(layers):
        stage.append(
            ResidualBlock(in_channels, block, kernel=kernel, stride=stride, activation=activation)
        )
        in_channels, stride = block[1].channels, [1] * len(kernel)
    return stage


def _shortcut(in_channels: int, layer: LayerPlan, stride: Edges) -> nn.Sequential:
    ones = [1] * len(stride)
    conv = convolution_before_norm(in_channels, layer, kernel=ones, stride=ones)
    pool = [POOLS[len(stride)](tuple(stride))] if max(stride) > 1 else []
    return nn.Sequential(*pool, conv, norm_layer(layer, len(stride)))


def _blocks(layers: Sequence[LayerPlan]) -> Iterator[Block]:
    """Yield the layers of a stage, grouped into blocks."""
    rest = list(layers)
    while rest:
        first, second = rest.pop(0), rest.pop(0)
        skip = rest.pop(0) if rest and rest[0].name.endswith(".skip") else None
        yield first, second, skip


def _check_blocks(plan: Plan) -> None:
    """Raise InputError unless encoder stages consist of blocks whose sums have equal widths."""
    width = len(plan.channels)
    for index, stage in enumerate(plan.network.encoder):
        where = f"network.encoder[{index}].layers"
        kinds = [layer.name.rsplit(".", 1)[-1] for layer in stage.layers]
        if not re.fullmatch("(conv1 conv2 (skip )?)+", " ".join([*kinds, ""])):
            raise unfit(
                plan,
                where,
                expected="blocks of .conv1, .conv2 and perhaps .skip",
                found=", ".join(kinds),
            )
        strided = max(stage.stride) > 1
        for first, second, skip in _blocks(stage.layers):
            widths = (width if skip is None else skip.channels, second.channels)
            if widths[0] != widths[1] or (strided and skip is None):
                raise unfit(
                    plan,
                    f"layer {first.name}",
                    expected="a .skip layer of .conv2's channels where width or resolution change",
                    found=f"{widths[0]} + {widths[1]} channels,"
                    f" {'a' if skip else 'no'} .skip layer",
                )
            width, strided = second.channels, False
