# mypy: disable-error-code="no-untyped-call"
"""GroupNorm and the activation behind it in one pass over the voxels, for CUDA and channels-last tensors.

PyTorch computes GroupNorm in float32 under autocast and in contiguous layout: casts and copies of layout then cost more
than the norm. Here a tensor is read in its own layout and precision, all sums are float32, and what the activation gave
is not needed in the backward pass, which computes it anew from the norm's input.

A tensor (B, C, ...) in channels-last layout is a matrix (B, rows, C) in memory. Kernels share it out by sample, by
block of channels and by chunk of rows; sums over chunks are combined in a second, small kernel, in a fixed order, so
that a result does not change from run to run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor
from torch.autograd.function import once_differentiable

from segkit.networks.kernels.memory_format import CHANNELS_LAST
from segkit.networks.kernels.triton_programs import (
    apply_kernel,
    gradient_kernel,
    means_kernel,
    moments_kernel,
    norms_kernel,
    sums_kernel,
)

TILE = 4096
"""Values that a program holds at once."""
WIDEST = 64
"""Channels that a program takes."""
PROGRAMS = 1024
"""Of a launch, about: several for each multiprocessor."""
CHUNKS_AT_ONCE = 64
"""Sums of so many chunks are combined at once."""


@dataclass(frozen=True)
class Sharing:
    """How the matrix (samples, rows, channels) is shared out among programs."""

    samples: int
    rows: int
    channels: int
    groups: int

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and channels that a program holds at once, powers of 2."""
        width = min(WIDEST, triton.next_power_of_2(self.channels))
        return TILE // width, width

    @property
    def blocks(self) -> int:
        """Of channels."""
        return -(-self.channels // self.tile[1])

    @property
    def chunk(self) -> int:
        """Rows of a program that sums, a multiple of its tile's."""
        tiles, height = -(-self.rows // self.tile[0]), self.tile[0]
        return height * -(-tiles // max(1, PROGRAMS // (self.blocks * self.samples)))

    @property
    def chunks(self) -> int:
        return -(-self.rows // self.chunk)

    @property
    def per_group(self) -> int:
        """Channels."""
        return self.channels // self.groups

    @property
    def values(self) -> float:
        """Of a group."""
        return float(self.rows * self.per_group)


def norm_and_activate(
    x: Tensor, weight: Tensor, bias: Tensor, *, groups: int, eps: float, slope: float | None
) -> Tensor:
    """Leaky ReLU with ``slope`` (0 is ReLU, None no activation) of F.group_norm of ``x`` (B, C, ...), channels-last.

    ``weight`` and ``bias`` (C,) are float32, the result has the precision and the layout of ``x``.
    """
    settings = (groups, eps, 1.0 if slope is None else slope)
    result: Tensor = NormAndActivate.apply(x, weight, bias, settings)
    return result


class NormAndActivate(torch.autograd.Function):
    """y = activation(weight * (x - mean) * rstd + bias), mean and rstd of each group of a sample."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, settings: tuple[int, float, float]
    ) -> Tensor:
        """Keeps x and two numbers per group."""
        groups, eps, slope = settings
        share = Sharing(x.shape[0], math.prod(x.shape[2:]), x.shape[1], groups)
        moments = _empty(x, share.samples, share.chunks, 2, share.channels)
        norms = _empty(x, share.samples, groups, 2)
        y = torch.empty_like(x)
        with torch.cuda.device_of(x):
            moments_kernel[share.chunks, share.blocks, share.samples](
                x, moments, share.rows, share.channels, share.chunk, *share.tile
            )
            norms_kernel[groups, share.samples](
                moments, norms, share.rows, share.channels, share.chunk, share.chunks, share.values, eps,
                share.per_group, triton.next_power_of_2(share.per_group), CHUNKS_AT_ONCE,
            )  # fmt: skip
            apply_kernel[-(-share.rows // share.tile[0]), share.blocks, share.samples](
                x, weight, bias, norms, y, share.rows, share.channels, groups, slope, *share.tile
            )
        ctx.save_for_backward(x, weight, bias, norms)
        ctx.share, ctx.slope = share, slope
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Gradients of x, weight and bias; see `segkit.networks.kernels.group_norm` for the formula."""
        x, weight, bias, norms = ctx.saved_tensors
        share, slope = ctx.share, ctx.slope
        grad = grad.to(x.dtype).contiguous(memory_format=CHANNELS_LAST[x.ndim])
        sums = _empty(x, share.samples, share.chunks, 2, share.channels)
        totals, means = (
            _empty(x, share.samples, 2, share.channels),
            _empty(x, share.samples, share.groups, 2),
        )
        grad_x = torch.empty_like(x)
        with torch.cuda.device_of(x):
            sums_kernel[share.chunks, share.blocks, share.samples](
                grad, x, weight, bias, norms, sums, share.rows, share.channels, share.groups, share.chunk, slope,
                *share.tile,
            )  # fmt: skip
            means_kernel[share.groups, share.samples](
                sums, weight, totals, means, share.channels, share.chunks, share.values,
                share.per_group, triton.next_power_of_2(share.per_group), CHUNKS_AT_ONCE,
            )  # fmt: skip
            gradient_kernel[-(-share.rows // share.tile[0]), share.blocks, share.samples](
                grad, x, weight, bias, norms, means, grad_x, share.rows, share.channels, share.groups, slope,
                *share.tile,
            )  # fmt: skip
        d_bias, d_weight = totals.sum(0)
        return grad_x, d_weight, d_bias, None


def _empty(x: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=x.device)
