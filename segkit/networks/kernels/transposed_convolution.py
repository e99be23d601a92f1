"""A transposed convolution whose backward pass is fast in bfloat16 on a CPU.

Where the kernel is the stride, every output voxel comes from one input voxel, and both gradients are products of
matrices. PyTorch (2.13) takes them as general convolutions, in bfloat16 2 to 4 times slower than the products; in
float32 there is nothing to gain.
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


def is_slow_backwards(layer: nn.ConvTranspose2d | nn.ConvTranspose3d, x: Tensor) -> bool:
    """Whether `enlarge` is faster for a ``layer`` whose kernel is its stride."""
    return (
        torch.is_grad_enabled()
        and x.device.type == "cpu"
        and x.dtype == torch.bfloat16
        and layer.groups == 1
        and x.is_contiguous(memory_format=CHANNELS_LAST[x.ndim])
    )


def enlarge(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """F.conv_transpose of ``x`` (B, C, ...) by ``weight`` (C, out, ...), the stride being the kernel's size."""
    enlarged: Tensor = Enlarge.apply(x, weight.to(x.dtype), bias)  # type: ignore[no-untyped-call]
    return enlarged


class Enlarge(torch.autograd.Function):
    """y[stride * i + k] = sum over channels of x[i] * weight[:, :, k], plus bias."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """PyTorch's own, which is fast."""
        ctx.save_for_backward(x, weight)
        ctx.bias_dtype = None if bias is None else bias.dtype
        return FUNCTIONS[x.ndim](
            x, weight, None if bias is None else bias.to(x.dtype), tuple(weight.shape[2:])
        )

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """With a row per input voxel, y = x @ weight: d_x = d_y @ weight.T and d_weight = x.T @ d_y."""
        x, weight = ctx.saved_tensors
        channels = x.shape[1]
        d_rows = _rows_of_parts(grad, list(weight.shape[2:]))
        rows = _channels_behind(x).reshape(-1, channels)
        columns = _channels_behind(weight).reshape(channels, -1)
        d_x = _channels_first((d_rows @ columns.T).view(x.shape[0], *x.shape[2:], channels))
        d_weight = _channels_first(
            (rows.T @ d_rows).view(channels, *weight.shape[2:], weight.shape[1])
        )
        if ctx.bias_dtype is None:
            return d_x, d_weight, None
        d_bias = grad.sum(dim=[0, *range(2, x.ndim)], dtype=torch.float32).to(ctx.bias_dtype)
        return d_x, d_weight, d_bias


def _rows_of_parts(grad: Tensor, kernel: list[int]) -> Tensor:
    """(B, out, X * kx, ...) to a row per input voxel (B * X * ..., kx * ... * out)."""
    dims = len(kernel)
    split = [
        part
        for size, edge in zip(grad.shape[2:], kernel, strict=True)
        for part in (size // edge, edge)
    ]
    parts = _channels_behind(grad).reshape(grad.shape[0], *split, grad.shape[1])
    inputs, offsets = range(1, 2 * dims, 2), range(2, 2 * dims + 1, 2)
    columns = grad.shape[1] * math.prod(kernel)
    return parts.permute(0, *inputs, *offsets, 2 * dims + 1).reshape(-1, columns)


def _channels_behind(x: Tensor) -> Tensor:
    return x.permute(0, *range(2, x.ndim), 1)


def _channels_first(x: Tensor) -> Tensor:
    return x.permute(0, x.ndim - 1, *range(1, x.ndim - 1))
