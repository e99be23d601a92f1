"""Building blocks of the U-Nets, in 2D and 3D: as many spatial axes as a kernel has edges."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from segkit.networks.kernels.convolution import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d
from segkit.networks.kernels.group_norm import GroupNorm
from segkit.networks.kernels.recompute import derived, finished, is_recomputing
from segkit.networks.norm import norm_layer
from segkit.plans.plan import LayerPlan

Edges = Sequence[int]
"""Kernel edges or strides, one per spatial axis."""

NEGATIVE_SLOPE = 0.01

CONVOLUTIONS: dict[int, Callable[..., nn.Module]] = {2: Conv2d, 3: Conv3d}
TRANSPOSED_CONVOLUTIONS: dict[int, Callable[..., nn.Module]] = {
    2: ConvTranspose2d,
    3: ConvTranspose3d,
}

# In place where the backward pass needs the output only: one kept tensor less per convolution.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": lambda: nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True),
    "relu": lambda: nn.ReLU(inplace=True),
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}


def convolution(
    in_channels: int, out_channels: int, *, kernel: Edges, stride: Edges, bias: bool
) -> nn.Module:
    """A convolution with odd ``kernel`` and zero padding, which at stride 1 keeps the size ('same')."""
    padding = tuple(edge // 2 for edge in kernel)
    layer = CONVOLUTIONS[len(kernel)]
    return layer(
        in_channels, out_channels, tuple(kernel), tuple(stride), padding=padding, bias=bias
    )


def upsampling(in_channels: int, out_channels: int, stride: Edges) -> nn.Module:
    """A transposed convolution whose kernel is its stride: output voxels come from one input voxel each."""
    return TRANSPOSED_CONVOLUTIONS[len(stride)](
        in_channels, out_channels, tuple(stride), tuple(stride)
    )


def score_head(in_channels: int, classes: int, dims: int) -> nn.Module:
    """A 1x1 convolution to one score per class."""
    return convolution(in_channels, classes, kernel=[1] * dims, stride=[1] * dims, bias=True)


class ConvBlock(nn.Sequential):
    """Convolution, norm, activation (none for None). No bias before a norm, which would take it away again."""

    conv: nn.Module
    norm: nn.Module
    activation: nn.Module

    def __init__(
        self,
        in_channels: int,
        layer: LayerPlan,
        *,
        kernel: Edges,
        stride: Edges,
        activation: str | None,
    ) -> None:
        bias = layer.norm == "none"
        parts = OrderedDict(
            conv=convolution(in_channels, layer.channels, kernel=kernel, stride=stride, bias=bias),
            norm=norm_layer(layer, len(kernel)),
            activation=nn.Identity() if activation is None else ACTIVATIONS[activation](),
        )
        super().__init__(parts)
        self.has_norm = layer.norm != "none"

    def forward(self, input: Tensor) -> Tensor:
        """(B, in, X, Y[, Z]) to (B, channels, X / stride, ...)."""
        x = self.conv(input)
        if isinstance(self.norm, GroupNorm) and not is_recomputing():
            return self.norm.activated(x, self.activation)
        return finished(self, x)

    def normed(self, *parts: Tensor) -> Tensor:
        """The convolution's output, normed."""
        (x,) = parts
        normed: Tensor = self.norm(x)
        return normed


def plain_stage(
    in_channels: int, layers: Sequence[LayerPlan], *, kernel: Edges, stride: Edges, activation: str
) -> nn.Sequential:
    """Convolution blocks in a row, the first of them strided."""
    stage = nn.Sequential()
    for layer in layers:
        stage.append(
            ConvBlock(in_channels, layer, kernel=kernel, stride=stride, activation=activation)
        )
        in_channels, stride = layer.channels, [1] * len(kernel)
    return stage


class DecoderStage(nn.Module):
    """Enlarge what comes from below, put the encoder's features of that resolution beside it, convolve."""

    def __init__(
        self,
        below: int,
        skip: int,
        layers: Sequence[LayerPlan],
        *,
        kernel: Edges,
        stride: Edges,
        activation: str,
    ) -> None:
        super().__init__()
        self.up = upsampling(below, skip, stride)
        self.convs = plain_stage(
            2 * skip, layers, kernel=kernel, stride=[1] * len(kernel), activation=activation
        )

    def forward(self, below: Tensor, skip: Tensor) -> Tensor:
        """(B, below, x, y, z) and (B, skip, X, Y, Z) to (B, channels of the last layer, X, Y, Z)."""
        features = derived(self._beside, below, skip)
        for conv in self.convs:  # one by one, so that what a convolution has read is freed
            features = conv(features)
        return features

    def _beside(self, below: Tensor, skip: Tensor) -> Tensor:
        return torch.cat((self.up(below), skip), dim=1)


def initialise(network: nn.Module) -> None:
    """Draw the kernels from He et al.'s normal distribution (arXiv 1502.01852, fan in); biases become zero.

    Upsampling is linear and each of its output voxels sees one input voxel: there the variance is 1 / channels in,
    so that what comes from below enters a decoder stage as large as the skip beside it. See also :func:`_even_kernel`.
    """
    for module in network.modules():
        if any(parameter.is_meta for parameter in module.parameters(recurse=False)):
            continue  # nothing to draw; to pretend to costs half a second of imports (torch._dynamo, sympy)
        if isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
            _even_kernel(module.weight, std=module.in_channels**-0.5)
        elif isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, a=NEGATIVE_SLOPE)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@torch.no_grad()
def _even_kernel(weight: Tensor, std: float) -> None:
    """Draw one 1x1 kernel for all spatial positions of ``weight`` (in, out, x, y[, z]).

    Upsampling then starts as that convolution with nearest-neighbour interpolation (ICNR, Aitken et al., arXiv
    1707.02937). Positions drawn one by one print their differences on every output as a checkerboard, which a short
    training does not unlearn.
    """
    kernel = weight.new_empty(*weight.shape[:2], *[1] * (weight.ndim - 2))
    weight.copy_(nn.init.normal_(kernel, std=std))
