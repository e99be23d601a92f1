"""Transposed convolution whose backward pass is fast in bfloat16 on a CPU.

If the kernel is as large as the stride, every output voxel has one input voxel, and both gradients
are matrix products. PyTorch (2.13) computes them as general convolutions, which in bfloat16 is 2 to
4 times slower; in float32 there is nothing to gain.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from segkit.networks.kernels.memory_format import CHANNELS_LAST

FUNCTIONS: dict[int, Callable[..., Tensor]] = {4: F.conv_transpose2d, 5: F.conv_transpose3d}
"""PyTorch's function by the number of axes of a batch."""


def is_slow_backwards(layer: nn.ConvTranspose2d | nn.ConvTranspose3d, x: Tensor) -> bool:
    """Return whether `transposed_convolution` is faster; the kernel of ``layer`` is its stride."""
    return (
        torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype == torch.bfloat16
        and layer.groups == 1
        and x.is_contiguous(memory_format=CHANNELS_LAST[x.ndim])
    )


def transposed_convolution(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return F.conv_transpose2d or 3d of ``x`` with a stride of the kernel's size.

    Args:
        x: (B, C, X, Y[, Z]).
        weight: (C, out, kx, ky[, kz]).
        bias: (out,).
    """
    function = TransposedConvolution
    upsampled: Tensor = function.apply(x, weight.to(x.dtype), bias)  # type: ignore[no-untyped-call]
    return upsampled


class TransposedConvolution(torch.autograd.Function):
    """y[stride * i + k] = sum over channels of x[i] * weight[:, :, k], plus bias."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Compute PyTorch's own forward pass, which is fast."""
        ctx.save_for_backward(x, weight)
        ctx.bias_dtype = None if bias is None else bias.dtype
        return FUNCTIONS[x.ndim](
            x, weight, None if bias is None else bias.to(x.dtype), tuple(weight.shape[2:])
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Compute d_x = d_y @ weight.T and d_weight = x.T @ d_y, with one row per input voxel."""
        x, weight = ctx.saved_tensors
        channels = x.shape[1]
        d_rows = _rows_per_input_voxel(grad, list(weight.shape[2:]))
        rows = _channels_to_end(x).reshape(-1, channels)
        columns = _channels_to_end(weight).reshape(channels, -1)
        d_x = _channels_to_front((d_rows @ columns.T).view(x.shape[0], *x.shape[2:], channels))
        d_weight = _channels_to_front(
            (rows.T @ d_rows).view(channels, *weight.shape[2:], weight.shape[1])
        )
        if ctx.bias_dtype is None:
            return d_x, d_weight, None
        d_bias = grad.sum(dim=[0, *range(2, x.ndim)], dtype=torch.float32).to(ctx.bias_dtype)
        return d_x, d_weight, d_bias


def _rows_per_input_voxel(grad: Tensor, kernel: list[int]) -> Tensor:
    """Return (B * X * ..., kx * ... * out), a row per input voxel, for (B, out, X * kx, ...)."""
    dims = len(kernel)
    split = []
    for size, edge in zip(grad.shape[2:], kernel, strict=True):
        split += [size // edge, edge]
    parts = _channels_to_end(grad).reshape(grad.shape[0], *split, grad.shape[1])
    inputs, offsets = range(1, 2 * dims, 2), range(2, 2 * dims + 1, 2)
    columns = grad.shape[1] * math.prod(kernel)
    return parts.permute(0, *inputs, *offsets, 2 * dims + 1).reshape(-1, columns)


def _channels_to_end(x: Tensor) -> Tensor:
    return x.permute(0, *range(2, x.ndim), 1)


def _channels_to_front(x: Tensor) -> Tensor:
    return x.permute(0, x.ndim - 1, *range(1, x.ndim - 1))
