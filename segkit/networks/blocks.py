"""Building blocks of the U-Nets, in 2D and 3D: a kernel has one edge per spatial axis."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from segkit.networks.kernels.convolution import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d
from segkit.networks.kernels.group_norm import GroupNorm
from segkit.networks.kernels.recompute import activated, is_recomputing, recomputable
from segkit.networks.kernels.weight_standardization import StandardizedConv2d, StandardizedConv3d
from segkit.networks.norm import norm_layer
from segkit.plans.plan import LayerPlan

Edges = Sequence[int]
"""Kernel edges or strides, one per spatial axis."""

NEGATIVE_SLOPE = 0.01
"""Slope of the leaky ReLU below 0."""

CONVOLUTIONS: dict[int, Callable[..., nn.Module]] = {2: Conv2d, 3: Conv3d}
STANDARDIZED_CONVOLUTIONS: dict[int, Callable[..., nn.Module]] = {
    2: StandardizedConv2d,
    3: StandardizedConv3d,
}
TRANSPOSED_CONVOLUTIONS: dict[int, Callable[..., nn.Module]] = {
    2: ConvTranspose2d,
    3: ConvTranspose3d,
}

POOLS: dict[int, Callable[..., nn.Module]] = {2: nn.AvgPool2d, 3: nn.AvgPool3d}

# In place where the backward pass needs only the output: this keeps one tensor less per layer.
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "leaky_relu": lambda: nn.LeakyReLU(NEGATIVE_SLOPE, inplace=True),
    "relu": lambda: nn.ReLU(inplace=True),
    "silu": nn.SiLU,
    "gelu": nn.GELU,
}


def convolution(
    in_channels: int, out_channels: int, *, kernel: Edges, stride: Edges, bias: bool
) -> nn.Module:
    """Return a convolution with zero padding; at stride 1 it keeps the size.

    Args:
        in_channels: number of input channels.
        out_channels: number of output channels.
        kernel: odd kernel edges, one per spatial axis.
        stride: stride along each spatial axis.
        bias: whether it adds a bias.
    """
    return CONVOLUTIONS[len(kernel)](
        in_channels, out_channels, tuple(kernel), tuple(stride), padding=_padding(kernel), bias=bias
    )


def convolution_before_norm(
    in_channels: int, layer: LayerPlan, *, kernel: Edges, stride: Edges
) -> nn.Module:
    """Return the convolution of ``layer``; arguments as `convolution`.

    It has no bias before a norm, because the norm would remove it.
    """
    kinds = STANDARDIZED_CONVOLUTIONS if layer.norm == "group_ws" else CONVOLUTIONS
    return kinds[len(kernel)](
        in_channels,
        layer.channels,
        tuple(kernel),
        tuple(stride),
        padding=_padding(kernel),
        bias=layer.norm == "none",
    )


def _padding(kernel: Edges) -> tuple[int, ...]:
    return tuple(edge // 2 for edge in kernel)


def upsampling(in_channels: int, out_channels: int, stride: Edges) -> nn.Module:
    """Return a transposed convolution with kernel = stride: one input voxel per output voxel."""
    return TRANSPOSED_CONVOLUTIONS[len(stride)](
        in_channels, out_channels, tuple(stride), tuple(stride)
    )


def score_head(in_channels: int, classes: int, dims: int) -> nn.Module:
    """Return a 1x1 convolution to one score per class."""
    return convolution(in_channels, classes, kernel=[1] * dims, stride=[1] * dims, bias=True)


class ConvBlock(nn.Sequential):
    """Convolution, norm and activation.

    ``activation`` is a key of ACTIVATIONS, or None for no activation.
    """

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
        parts = OrderedDict(
            conv=convolution_before_norm(in_channels, layer, kernel=kernel, stride=stride),
            norm=norm_layer(layer, len(kernel)),
            activation=nn.Identity() if activation is None else ACTIVATIONS[activation](),
        )
        super().__init__(parts)
        self.has_norm = layer.norm != "none"

    def forward(self, input: Tensor) -> Tensor:
        """Return (B, channels, X / stride, ...) for (B, in_channels, X, Y[, Z])."""
        x = self.conv(input)
        if isinstance(self.norm, GroupNorm) and not is_recomputing():
            return self.norm.normalize_and_activate(x, self.activation)
        return activated(self, x)

    def normalize(self, *outputs: Tensor) -> Tensor:
        """Normalize the output of the convolution."""
        (x,) = outputs
        normalized: Tensor = self.norm(x)
        return normalized


def plain_stage(
    in_channels: int, layers: Sequence[LayerPlan], *, kernel: Edges, stride: Edges, activation: str
) -> nn.Sequential:
    """Return convolution blocks, one per layer.

    Args:
        in_channels: number of input channels of the first layer.
        layers: channels and norm of each layer.
        kernel: kernel edges of all layers, one per spatial axis.
        stride: stride of the first layer along each spatial axis; the others have stride 1.
        activation: a key of ACTIVATIONS.
    """
    stage = nn.Sequential()
    for layer in layers:
        stage.append(
            ConvBlock(in_channels, layer, kernel=kernel, stride=stride, activation=activation)
        )
        in_channels, stride = layer.channels, [1] * len(kernel)
    return stage


def averaged_first(stage: nn.Sequential, stride: Edges) -> nn.Sequential:
    """Return an encoder stage of stride 1 after an average over blocks of ``stride``.

    The names of its layers do not change.
    """
    parts = OrderedDict[str, nn.Module](pool=POOLS[len(stride)](tuple(stride)))
    return nn.Sequential(parts | OrderedDict(stage.named_children()))


class DecoderStage(nn.Module):
    """Upsample, concatenate the skip connection, convolve."""

    def __init__(
        self,
        in_channels: int,
        skip_channels: int,
        layers: Sequence[LayerPlan],
        *,
        kernel: Edges,
        stride: Edges,
        activation: str,
    ) -> None:
        super().__init__()
        self.up = upsampling(in_channels, skip_channels, stride)
        self.convs = plain_stage(
            2 * skip_channels,
            layers,
            kernel=kernel,
            stride=[1] * len(kernel),
            activation=activation,
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Return the features (B, channels of the last layer, X, Y[, Z]) of the stage.

        Args:
            x: features of the stage below, (B, in_channels, X / stride, ...).
            skip: features of the encoder, (B, skip_channels, X, Y[, Z]).
        """
        features = recomputable(self._concatenate, x, skip)
        for conv in self.convs:  # in a loop, so that the input of each convolution is freed
            features = conv(features)
        return features

    def _concatenate(self, x: Tensor, skip: Tensor) -> Tensor:
        return torch.cat((self.up(x), skip), dim=1)


def initialize(network: nn.Module) -> None:
    """Initialize kernels by He's normal distribution (arXiv 1502.01852, fan in), and biases by 0.

    A transposed convolution is linear, and each of its output voxels has one input voxel. There the
    variance is 1 / in_channels, so that the upsampled features are as large as those of the skip
    connection. See also `_initialize_upsampling`.
    """
    for module in network.modules():
        if any(parameter.is_meta for parameter in module.parameters(recurse=False)):
            # There is nothing to draw, and trying costs half a second of imports (torch._dynamo).
            continue
        if isinstance(module, nn.ConvTranspose2d | nn.ConvTranspose3d):
            _initialize_upsampling(module.weight, std=module.in_channels**-0.5)
        elif isinstance(module, nn.Conv2d | nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, a=NEGATIVE_SLOPE)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


@torch.no_grad()
def _initialize_upsampling(weight: Tensor, std: float) -> None:
    """Draw one 1x1 kernel for all spatial positions of ``weight`` (in, out, x, y[, z]).

    Upsampling then starts as a 1x1 convolution with nearest-neighbor interpolation (ICNR, Aitken et
    al., arXiv 1707.02937). Positions drawn independently cause a checkerboard in every output,
    which a short training does not unlearn.
    """
    kernel = weight.new_empty(*weight.shape[:2], *[1] * (weight.ndim - 2))
    weight.copy_(nn.init.normal_(kernel, std=std))
