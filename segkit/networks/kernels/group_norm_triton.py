# mypy: disable-error-code="no-untyped-call"
"""GroupNorm and activation in one pass over the voxels, for channels-last tensors on CUDA devices.

Under autocast PyTorch computes GroupNorm in float32 and in contiguous format: the conversions then
cost more than the norm. Here a tensor is read in its own memory format and precision, and all sums
are float32. The output of the activation is not kept: the backward pass computes it again from the
input of the norm.

A tensor (B, C, X, Y[, Z]) in channels-last format is a matrix (B, rows, C) in memory. Kernels
divide it by sample, by block of channels and by chunk of rows. Sums over chunks are combined in a
second, small kernel in a fixed order, so that results are reproducible.
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
"""Values that a Triton program holds at a time."""
WIDEST = 64
"""Largest number of channels of a program."""
PROGRAMS = 1024
"""Approximate number of programs of a launch: several per multiprocessor."""
CHUNKS_AT_ONCE = 64
"""Chunks whose sums are combined at a time."""


@dataclass(frozen=True)
class Partition:
    """Partition of the matrix (samples, rows, channels) into Triton programs."""

    samples: int
    rows: int
    channels: int
    groups: int

    @property
    def tile(self) -> tuple[int, int]:
        """Rows and channels that a program holds at a time, both powers of 2."""
        width = min(WIDEST, triton.next_power_of_2(self.channels))
        return TILE // width, width

    @property
    def blocks(self) -> int:
        """Number of blocks of channels."""
        return -(-self.channels // self.tile[1])

    @property
    def chunk(self) -> int:
        """Rows that one program sums, a multiple of the rows of its tile."""
        tiles, height = -(-self.rows // self.tile[0]), self.tile[0]
        return height * -(-tiles // max(1, PROGRAMS // (self.blocks * self.samples)))

    @property
    def chunks(self) -> int:
        """Number of chunks of rows."""
        return -(-self.rows // self.chunk)

    @property
    def per_group(self) -> int:
        """Number of channels per group."""
        return self.channels // self.groups

    @property
    def values(self) -> float:
        """Number of values of a group in one sample."""
        return float(self.rows * self.per_group)


def norm_and_activate(
    x: Tensor, weight: Tensor, bias: Tensor, *, groups: int, eps: float, slope: float | None
) -> Tensor:
    """Return the activation of F.group_norm of ``x``, in the precision and memory format of ``x``.

    Args:
        x: (B, C, X, Y[, Z]) in channels-last format on a CUDA device.
        weight, bias: (C,) in float32.
        groups: number of groups, which divides C.
        eps: number added to the variance.
        slope: slope of a leaky ReLU below 0; 0 is a ReLU, None is no activation.
    """
    settings = (groups, eps, 1.0 if slope is None else slope)
    result: Tensor = NormAndActivate.apply(x, weight, bias, settings)
    return result


class NormAndActivate(torch.autograd.Function):
    """y = activation(weight * (x - mean) * rstd + bias), with mean and rstd of each group."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, settings: tuple[int, float, float]
    ) -> Tensor:
        """Return y; ``settings`` is (groups, eps, slope).

        Only x and two numbers per group are kept for the backward pass.
        """
        groups, eps, slope = settings
        part = Partition(x.shape[0], math.prod(x.shape[2:]), x.shape[1], groups)
        moments = _empty(x, part.samples, part.chunks, 2, part.channels)
        norms = _empty(x, part.samples, groups, 2)
        y = torch.empty_like(x)
        with torch.cuda.device_of(x):
            moments_kernel[part.chunks, part.blocks, part.samples](
                x, moments, part.rows, part.channels, part.chunk, *part.tile
            )
            norms_kernel[groups, part.samples](
                moments, norms,
                part.rows, part.channels, part.chunk, part.chunks, part.values, eps,
                part.per_group, triton.next_power_of_2(part.per_group), CHUNKS_AT_ONCE,
            )  # fmt: skip
            apply_kernel[-(-part.rows // part.tile[0]), part.blocks, part.samples](
                x, weight, bias, norms, y, part.rows, part.channels, groups, slope, *part.tile
            )
        ctx.save_for_backward(x, weight, bias, norms)
        ctx.part, ctx.slope = part, slope
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients of x, weight and bias; `group_norm._gradient` has the formula."""
        x, weight, bias, norms = ctx.saved_tensors
        part, slope = ctx.part, ctx.slope
        grad = grad.to(x.dtype).contiguous(memory_format=CHANNELS_LAST[x.ndim])
        sums = _empty(x, part.samples, part.chunks, 2, part.channels)
        totals, means = (
            _empty(x, part.samples, 2, part.channels),
            _empty(x, part.samples, part.groups, 2),
        )
        grad_x = torch.empty_like(x)
        with torch.cuda.device_of(x):
            sums_kernel[part.chunks, part.blocks, part.samples](
                grad, x, weight, bias, norms, sums,
                part.rows, part.channels, part.groups, part.chunk, slope,
                *part.tile,
            )  # fmt: skip
            means_kernel[part.groups, part.samples](
                sums, weight, totals, means, part.channels, part.chunks, part.values,
                part.per_group, triton.next_power_of_2(part.per_group), CHUNKS_AT_ONCE,
            )  # fmt: skip
            gradient_kernel[-(-part.rows // part.tile[0]), part.blocks, part.samples](
                grad, x, weight, bias, norms, means, grad_x,
                part.rows, part.channels, part.groups, slope,
                *part.tile,
            )  # fmt: skip
        d_bias, d_weight = totals.sum(0)
        return grad_x, d_weight, d_bias, None


def _empty(x: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=x.device)
