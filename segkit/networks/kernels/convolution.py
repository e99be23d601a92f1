"""Convolutions that stay fast for one small sample on a CPU, and right for a thin one.

PyTorch (2.13) gives a single float32 sample to oneDNN only if channels x first edge x second edge
exceed 20480. The deep stages of a U-Net on one patch stay below, and PyTorch's other kernels take 2
to 10 times as long. Cut into two halves that overlap by the size of the kernel, the same sample is
a batch of two, which oneDNN computes.

For some images that are thinner than the kernel, PyTorch (2.13, oneDNN) does not compute the right
gradient of a 3D kernel (`thin_axes`). Zeros that are part of the image avoid this.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segkit.errors import InputError
from segkit.networks.kernels.recompute import recomputable
from segkit.networks.kernels.transposed_convolution import is_slow_backwards, transposed_convolution

ONE_DNN_FROM = 20480
"""Limit in ``use_mkldnn`` of PyTorch's aten/src/ATen/native/Convolution.cpp."""


class Conv2d(nn.Conv2d):
    """nn.Conv2d, computed in halves where that is faster."""

    def kernel(self) -> Tensor:
        """Return the kernel that the convolution uses, which derived classes may compute."""
        return self.weight

    def offset(self) -> Tensor | None:
        """Return the bias that the convolution adds, which derived classes may compute."""
        return self.bias

    def forward(self, input: Tensor) -> Tensor:
        """Return (B, out, X', Y') for (B, C, X, Y)."""
        kernel, bias = self.kernel(), self.offset()
        if is_slow(self, input):
            return convolve_halves(self, F.conv2d, input, (kernel, bias))
        result: Tensor = self._conv_forward(input, kernel, bias)
        return result


class Conv3d(nn.Conv3d):
    """nn.Conv3d, computed in halves where that is faster, with right gradients for thin images."""

    def kernel(self) -> Tensor:
        """Return the kernel that the convolution uses, which derived classes may compute."""
        return self.weight

    def offset(self) -> Tensor | None:
        """Return the bias that the convolution adds, which derived classes may compute."""
        return self.bias

    def forward(self, input: Tensor) -> Tensor:
        """Return (B, out, X', Y', Z') for (B, C, X, Y, Z)."""
        kernel, bias = self.kernel(), self.offset()
        slow, thin = is_slow(self, input), thin_axes(self, input)
        # Halves along X are wide enough there.
        if thin and not (slow and thin == [_longest_axis(input)] == [0]):
            return convolve_thin(self, input, (kernel, bias), thin)
        if slow:
            return convolve_halves(self, F.conv3d, input, (kernel, bias))
        result: Tensor = self._conv_forward(input, kernel, bias)
        return result


class ConvTranspose2d(nn.ConvTranspose2d):
    """nn.ConvTranspose2d, in halves or with a faster backward pass where possible."""

    def kernel(self) -> Tensor:
        """Return the kernel that the convolution uses, which derived classes may compute."""
        return self.weight

    def offset(self) -> Tensor | None:
        """Return the bias that the convolution adds, which derived classes may compute."""
        return self.bias

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return (B, out, X', Y') for (B, C, X, Y)."""
        if output_size is None and _kernel_is_stride(self):
            kernel, bias = self.kernel(), self.offset()
            if is_slow(self, input):
                return upsample_halves(self, F.conv_transpose2d, input, (kernel, bias))
            if is_slow_backwards(self, input):
                return transposed_convolution(input, kernel, bias)
            return F.conv_transpose2d(
                input, kernel, bias, self.stride, groups=self.groups, dilation=self.dilation
            )
        return super().forward(input, output_size)


class ConvTranspose3d(nn.ConvTranspose3d):
    """nn.ConvTranspose3d, in halves or with a faster backward pass where possible."""

    def kernel(self) -> Tensor:
        """Return the kernel that the convolution uses, which derived classes may compute."""
        return self.weight

    def offset(self) -> Tensor | None:
        """Return the bias that the convolution adds, which derived classes may compute."""
        return self.bias

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """Return (B, out, X', Y', Z') for (B, C, X, Y, Z)."""
        if output_size is None and _kernel_is_stride(self):
            kernel, bias = self.kernel(), self.offset()
            if is_slow(self, input):
                return upsample_halves(self, F.conv_transpose3d, input, (kernel, bias))
            if is_slow_backwards(self, input):
                return transposed_convolution(input, kernel, bias)
            return F.conv_transpose3d(
                input, kernel, bias, self.stride, groups=self.groups, dilation=self.dilation
            )
        return super().forward(input, output_size)


Layer = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d
Weights = tuple[Tensor, Tensor | None]
"""Kernel and bias."""


def is_slow(layer: Layer, x: Tensor) -> bool:
    """Return whether PyTorch would not use oneDNN, only because ``x`` is small."""
    return (
        x.device.type == "cpu"
        and x.dtype == layer.weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and x.shape[0] == 1
        and math.prod(x.shape[1:4]) <= ONE_DNN_FROM
        and max(x.shape[2:]) > 1
        and layer.groups == 1
        and all(step == 1 for step in layer.dilation)
        and layer.padding_mode == "zeros"
        and not isinstance(layer.padding, str)
    )


def thin_axes(layer: nn.Conv3d, x: Tensor) -> list[int]:
    """Return the axes along which ``x`` (B, C, X, Y, Z) is too thin for oneDNN in training.

    Compared with float64, its gradients of the kernel in bfloat16 are wrong, often by many orders
    of magnitude, if x is thinner than the kernel and has more than 1 voxel; if any axis has fewer
    voxels than its padding; and if a stride leads over an axis of 1 voxel. They are right for 1
    voxel and a kernel of 3 with stride 1, and for 2 voxels along y or z.
    """
    padding = layer.padding
    if not layer.training or x.device.type != "cpu" or isinstance(padding, str):
        return []
    if layer.padding_mode != "zeros":
        return []
    return [
        axis
        for axis, size in enumerate(x.shape[2:])
        if size < layer.kernel_size[axis]
        and (
            (axis == 0 and size > 1)
            or size < padding[axis]
            or (size == 1 and layer.stride[axis] > 1)
        )
    ]


def refuse_thin_images(network: nn.Module) -> None:
    """Make layers of other packages raise an InputError for `thin_axes`, while they train."""
    for module in network.modules():
        if isinstance(module, nn.Conv3d) and not isinstance(module, Conv3d):
            module.register_forward_pre_hook(_refuse_thin, with_kwargs=True)


def _refuse_thin(layer: nn.Module, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
    x = inputs[0] if inputs else named["input"]
    # PyTorch gives what is_slow to its own kernels, which are right.
    if not isinstance(layer, nn.Conv3d) or is_slow(layer, x):
        return
    for axis in thin_axes(layer, x):
        raise InputError(
            "network",
            expected=f"at least {layer.kernel_size[axis]} voxels along {'xyz'[axis]} in a layer "
            "with a kernel of that edge, because PyTorch's gradients may be wrong on a CPU "
            "otherwise",
            found=f"{x.shape[2 + axis]}",
            remedy="Give a larger plan.patch, fewer stages in network.features, or network=unet.",
        )


def convolve_thin(layer: nn.Conv3d, x: Tensor, weights: Weights, axes: Sequence[int]) -> Tensor:
    """Apply ``layer`` to ``x`` (B, C, X, Y, Z) with the zeros beyond both ends in the image.

    Args:
        layer: the convolution.
        x: the image.
        weights: kernel and bias of the convolution.
        axes: axes along which zeros become part of the image.
    """
    padding = [int(edge) for edge in layer.padding]
    for axis in axes:
        x, padding[axis] = _pad(x, axis, padding[axis], padding[axis]), 0
    return F.conv3d(x, *weights, layer.stride, padding, layer.dilation, layer.groups)


def _kernel_is_stride(layer: Layer) -> bool:
    """Return whether every output voxel has one input voxel."""
    return (
        layer.kernel_size == layer.stride
        and not any(layer.padding)
        and not any(layer.output_padding)
    )


def convolve_halves(
    layer: nn.Conv2d | nn.Conv3d, function: Callable[..., Tensor], x: Tensor, weights: Weights
) -> Tensor:
    """Apply ``layer`` to ``x`` (1, C, X, Y[, Z]) as a batch of two halves along the longest axis.

    Args:
        layer: the convolution.
        function: F.conv2d or F.conv3d.
        x: one sample.
        weights: kernel and bias of the convolution.
    """
    axis = _longest_axis(x)
    kernel, stride, padding = layer.kernel_size[axis], layer.stride[axis], int(layer.padding[axis])
    size = x.shape[2 + axis]
    out_size = (size + 2 * padding - kernel) // stride + 1
    half = (out_size + 1) // 2
    window = (half - 1) * stride + kernel  # input voxels of a half

    def cut(x: Tensor) -> Tensor:
        padded = _pad(x, axis, padding, half * stride + window - padding - size)
        return torch.cat([padded.narrow(2 + axis, start, window) for start in (0, half * stride)])

    paddings: list[Any] = [0 if index == axis else edge for index, edge in enumerate(layer.padding)]
    halves = function(recomputable(cut, x), *weights, layer.stride, paddings)
    return _join(halves, axis, out_size)


def upsample_halves(
    layer: nn.ConvTranspose2d | nn.ConvTranspose3d,
    function: Callable[..., Tensor],
    x: Tensor,
    weights: Weights,
) -> Tensor:
    """Apply a transposed convolution with kernel = stride as a batch of two halves.

    Arguments as `convolve_halves`; these halves do not overlap.
    """
    axis = _longest_axis(x)
    size = x.shape[2 + axis]
    half = (size + 1) // 2

    def cut(x: Tensor) -> Tensor:
        return torch.cat(_pad(x, axis, 0, 2 * half - size).chunk(2, dim=2 + axis))

    halves = function(recomputable(cut, x), *weights, layer.stride)
    return _join(halves, axis, size * layer.stride[axis])


def _longest_axis(x: Tensor) -> int:
    edges = list(x.shape[2:])
    return edges.index(max(edges))


def _pad(x: Tensor, axis: int, low: int, high: int) -> Tensor:
    """Pad ``x`` with zeros before and after it along a spatial axis; a negative number crops."""
    widths = [0, 0] * (x.ndim - 2)
    widths[2 * (x.ndim - 3 - axis)], widths[2 * (x.ndim - 3 - axis) + 1] = low, high
    return F.pad(x, widths)


def _join(halves: Tensor, axis: int, size: int) -> Tensor:
    first, second = halves.chunk(2)
    return torch.cat(
        (first, second.narrow(2 + axis, 0, size - first.shape[2 + axis])), dim=2 + axis
    )
