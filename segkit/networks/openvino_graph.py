"""Build a U-Net as a graph of OpenVINO operations, layer by layer, without tracing or files.

OpenVINO itself is not imported here: its operations are an argument, so that this module can be
imported without the extra.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segkit.errors import UsageError
from segkit.networks.equivariant_unet import EquivariantUNet
from segkit.networks.kernels.batch_renorm import BatchRenorm
from segkit.networks.kernels.convolution import Conv2d, Conv3d
from segkit.networks.norm import BatchStatisticsNorm, scale_and_shift
from segkit.networks.residual_unet import ResidualBlock, ResidualUNet
from segkit.networks.unet import UNet

KNOWN_NETWORKS = (UNet, ResidualUNet, EquivariantUNet)
"""Supported classes, without derived ones, which may compute something else.

The layers of the last one must have been replaced by plain ones (`segkit.networks.fusion.fuse`).
"""

Convolution = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d
Node = Any
"""Node of an OpenVINO graph; the package has no types."""


class GraphBuilder:
    """Converter of layers in evaluation mode to operations with their weights in float32."""

    def __init__(self, operations: Any) -> None:
        """Take an OpenVINO set of operations, ``openvino.opset14`` or later."""
        self.operations = operations
        self._layers: dict[type[nn.Module], Callable[[Any, Node], Node]] = {
            nn.Sequential: self._sequence,  # convolution blocks and stages as well
            ResidualBlock: self._residual,
            nn.Conv2d: self._convolution,
            nn.Conv3d: self._convolution,
            nn.ConvTranspose2d: self._upsampling,
            nn.ConvTranspose3d: self._upsampling,
            nn.AvgPool2d: self._pool,
            nn.AvgPool3d: self._pool,
            nn.GroupNorm: self._group_norm,
            nn.BatchNorm2d: self._batch_norm,
            nn.BatchNorm3d: self._batch_norm,
            BatchRenorm: self._batch_norm,
            nn.Identity: lambda _, x: x,
            nn.LeakyReLU: lambda layer, x: operations.prelu(
                x, _constant(operations, [layer.negative_slope])
            ),
            nn.ReLU: lambda _, x: operations.relu(x),
            nn.SiLU: lambda _, x: operations.swish(x),
            nn.GELU: lambda _, x: operations.gelu(x, "erf"),
        }

    def unet(self, network: UNet, shape: Sequence[int], *, head: bool) -> tuple[Node, Node]:
        """Return the input and output nodes of the graph.

        Args:
            network: an instance of one of KNOWN_NETWORKS.
            shape: (B, C, X, Y[, Z]) of the windows; a graph has one fixed shape.
            head: True for scores as output, False for the input of the last layer.
        """
        windows = self.operations.parameter(list(shape), np.float32)
        x, skips = windows, []
        for stage in network.encoder:
            x = self.layer(stage, x)
            skips.append(x)
        skips.pop()
        for stage in network.decoder:
            x = self._decoder_stage(stage, x, skips.pop())
        return windows, self.layer(network.head, x) if head else x

    def layer(self, layer: nn.Module, x: Node) -> Node:
        """Return the output node of ``layer`` for the input node ``x``.

        Raises:
            UsageError: a layer that segkit's own networks do not have.
        """
        for kind, convert in self._layers.items():
            if isinstance(layer, kind):
                return convert(layer, x)
        raise UsageError(
            f"--engine openvino does not support the layer {type(layer).__name__}:"
            " use --engine torch"
        )

    def _sequence(self, layers: nn.Sequential, x: Node) -> Node:
        for layer in layers:
            x = self.layer(layer, x)
        return x

    def _decoder_stage(self, stage: Any, below: Node, skip: Node) -> Node:
        """Return the output of a `segkit.networks.blocks.DecoderStage`."""
        concatenated = self.operations.concat([self.layer(stage.up, below), skip], 1)
        return self.layer(stage.convs, concatenated)

    def _residual(self, block: ResidualBlock, x: Node) -> Node:
        convolved = self.layer(block.conv2, self.layer(block.conv1, x))
        summed = self.operations.add(convolved, self.layer(block.shortcut, x))
        return self.layer(block.activation, summed)

    def _convolution(self, layer: nn.Conv2d | nn.Conv3d, x: Node) -> Node:
        padding = [int(edge) for edge in layer.padding]
        kernel = layer.kernel() if isinstance(layer, Conv2d | Conv3d) else layer.weight
        weight = _constant(self.operations, kernel)
        convolved = self.operations.convolution(
            x, weight, layer.stride, padding, padding, layer.dilation
        )
        return self._with_bias(layer, convolved)

    def _upsampling(self, layer: nn.ConvTranspose2d | nn.ConvTranspose3d, x: Node) -> Node:
        weight = _constant(self.operations, layer.weight)
        return self._with_bias(
            layer, self.operations.convolution_backprop_data(x, weight, layer.stride)
        )

    def _with_bias(self, layer: Convolution, x: Node) -> Node:
        if layer.bias is None:
            return x
        bias = layer.bias.reshape(1, -1, *[1] * (layer.weight.ndim - 2))
        return self.operations.add(x, _constant(self.operations, bias))

    def _pool(self, layer: nn.AvgPool2d | nn.AvgPool3d, x: Node) -> Node:
        edges = layer.kernel_size
        none = [0] * len(edges)  # type: ignore[arg-type]  # segkit gives a tuple
        return self.operations.avg_pool(x, edges, none, none, edges, exclude_pad=True)

    def _group_norm(self, layer: nn.GroupNorm, x: Node) -> Node:
        # OpenVINO (2026.4.1) has an operation for GroupNorm. It is equally fast, but crashes the
        # process in residual blocks.
        operations, shape = self.operations, list(x.shape)
        groups = operations.reshape(x, [shape[0], layer.num_groups, -1], False)
        normalized = operations.reshape(
            operations.mvn(groups, [2], True, layer.eps, "inside_sqrt"), shape, False
        )
        per_channel = [1, -1, *[1] * (len(shape) - 2)]
        weight = _constant(operations, layer.weight.reshape(per_channel))
        bias = _constant(operations, layer.bias.reshape(per_channel))
        return operations.add(operations.multiply(normalized, weight), bias)

    def _batch_norm(self, layer: BatchStatisticsNorm, x: Node) -> Node:
        per_channel = [1, -1, *[1] * (len(x.shape) - 2)]
        numbers = (number.reshape(per_channel) for number in scale_and_shift(layer))
        scale, shift = (_constant(self.operations, number) for number in numbers)
        return self.operations.add(self.operations.multiply(x, scale), shift)


def _constant(operations: Any, values: Tensor | Sequence[float] | None) -> Node:
    if values is None:
        raise TypeError("a norm without weights")
    return operations.constant(torch.as_tensor(values).detach().cpu().float().contiguous().numpy())
