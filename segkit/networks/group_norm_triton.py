# mypy: disable-error-code="no-untyped-call, no-untyped-def, untyped-decorator"
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
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from segkit.networks.channels_last import CHANNELS_LAST

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
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, settings: tuple[int, float, float]) -> Tensor:
        """Keeps x and two numbers per group."""
        groups, eps, slope = settings
        share = Sharing(x.shape[0], math.prod(x.shape[2:]), x.shape[1], groups)
        moments = _empty(x, share.samples, share.chunks, 2, share.channels)
        norms = _empty(x, share.samples, groups, 2)
        y = torch.empty_like(x)
        with torch.cuda.device_of(x):
            _moments[share.chunks, share.blocks, share.samples](
                x, moments, share.rows, share.channels, share.chunk, *share.tile
            )
            _norms[groups, share.samples](
                moments, norms, share.rows, share.channels, share.chunk, share.chunks, share.values, eps,
                share.per_group, triton.next_power_of_2(share.per_group), CHUNKS_AT_ONCE,
            )  # fmt: skip
            _apply[-(-share.rows // share.tile[0]), share.blocks, share.samples](
                x, weight, bias, norms, y, share.rows, share.channels, groups, slope, *share.tile
            )
        ctx.save_for_backward(x, weight, bias, norms)
        ctx.share, ctx.slope = share, slope
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Gradients of x, weight and bias; see `segkit.networks.group_norm` for the formula."""
        x, weight, bias, norms = ctx.saved_tensors
        share, slope = ctx.share, ctx.slope
        grad = grad.to(x.dtype).contiguous(memory_format=CHANNELS_LAST[x.ndim])
        sums = _empty(x, share.samples, share.chunks, 2, share.channels)
        totals, means = _empty(x, share.samples, 2, share.channels), _empty(x, share.samples, share.groups, 2)
        grad_x = torch.empty_like(x)
        with torch.cuda.device_of(x):
            _sums[share.chunks, share.blocks, share.samples](
                grad, x, weight, bias, norms, sums, share.rows, share.channels, share.groups, share.chunk, slope,
                *share.tile,
            )  # fmt: skip
            _means[share.groups, share.samples](
                sums, weight, totals, means, share.channels, share.chunks, share.values,
                share.per_group, triton.next_power_of_2(share.per_group), CHUNKS_AT_ONCE,
            )  # fmt: skip
            _gradient[-(-share.rows // share.tile[0]), share.blocks, share.samples](
                grad, x, weight, bias, norms, means, grad_x, share.rows, share.channels, share.groups, slope,
                *share.tile,
            )  # fmt: skip
        d_bias, d_weight = totals.sum(0)
        return grad_x, d_weight, d_bias, None


def _empty(x: Tensor, *shape: int) -> Tensor:
    return torch.empty(shape, dtype=torch.float32, device=x.device)


# The kernels. `rows` x `channels` is one sample's matrix; offsets into whole tensors need 64 bits.


@triton.jit
def _moments(x, moments, rows, channels, chunk, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    """Mean, and sum of squares about it, of each channel in a chunk of rows: moments (samples, chunks, 2, channels)."""
    sample = tl.program_id(2).to(tl.int64)
    first = tl.program_id(0) * chunk
    last = tl.minimum(first + chunk, rows)
    columns = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = columns < channels
    mean = tl.zeros((WIDTH,), tl.float32)
    squares = tl.zeros((WIDTH,), tl.float32)
    for start in range(first, last, HEIGHT):
        row = start + tl.arange(0, HEIGHT)
        known = (row < last)[:, None] & inside[None, :]
        place = (sample * rows + row)[:, None] * channels + columns[None, :]
        values = tl.load(x + place, mask=known, other=0.0).to(tl.float32)
        before = (start - first).to(tl.float32)
        count = (tl.minimum(start + HEIGHT, last) - start).to(tl.float32)
        tile_mean = tl.sum(values, 0) / count
        away = tl.where(known, values - tile_mean[None, :], 0.0)
        # Chan et al.'s way to join two sets: a plain sum of squares would lose what a large mean leaves of it.
        step = tile_mean - mean
        mean += step * (count / (before + count))
        squares += tl.sum(away * away, 0) + step * step * (before * count / (before + count))
    target = moments + (sample * tl.num_programs(0) + tl.program_id(0)) * 2 * channels + columns
    tl.store(target, mean, mask=inside)
    tl.store(target + channels, squares, mask=inside)


@triton.jit
def _norms(
    moments, norms, rows, channels, chunk, chunks, count, eps,
    PER_GROUP: tl.constexpr, WIDTH: tl.constexpr, HEIGHT: tl.constexpr,
):  # fmt: skip
    """Mean and 1 / standard deviation of each group from `_moments`: norms (samples, groups, 2)."""
    group, sample = tl.program_id(0), tl.program_id(1)
    columns = tl.arange(0, WIDTH)
    source = moments + sample * chunks * 2 * channels + (group * PER_GROUP + columns)[None, :]
    total = tl.zeros((HEIGHT, WIDTH), tl.float32)
    for start in range(0, chunks, HEIGHT):
        part = start + tl.arange(0, HEIGHT)
        known = (part < chunks)[:, None] & (columns < PER_GROUP)[None, :]
        means = tl.load(source + part[:, None] * 2 * channels, mask=known, other=0.0)
        total += means * tl.minimum(chunk, rows - part * chunk).to(tl.float32)[:, None]
    mean = tl.sum(tl.sum(total, 0), 0) / count
    squares = tl.zeros((HEIGHT, WIDTH), tl.float32)
    for start in range(0, chunks, HEIGHT):
        part = start + tl.arange(0, HEIGHT)
        known = (part < chunks)[:, None] & (columns < PER_GROUP)[None, :]
        place = source + part[:, None] * 2 * channels
        away = tl.load(place, mask=known, other=0.0) - mean
        counts = tl.minimum(chunk, rows - part * chunk).to(tl.float32)[:, None]
        squares += tl.where(known, tl.load(place + channels, mask=known, other=0.0) + counts * away * away, 0.0)
    variance = tl.sum(tl.sum(squares, 0), 0) / count
    target = norms + (sample * tl.num_programs(0) + group) * 2
    tl.store(target, mean)
    tl.store(target + 1, 1.0 / tl.sqrt(variance + eps))


@triton.jit
def _normed(norms, sample, columns, channels, groups, inside):
    """Mean and 1 / standard deviation of each channel's group."""
    place = norms + (sample * groups + columns // (channels // groups)) * 2
    return tl.load(place, mask=inside, other=0.0), tl.load(place + 1, mask=inside, other=0.0)


@triton.jit
def _apply(x, weight, bias, norms, y, rows, channels, groups, slope, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    """The normed and activated values of a tile."""
    sample = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * HEIGHT + tl.arange(0, HEIGHT)
    columns = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = columns < channels
    known = (row < rows)[:, None] & inside[None, :]
    place = (sample * rows + row)[:, None] * channels + columns[None, :]
    mean, rstd = _normed(norms, sample, columns, channels, groups, inside)
    scale = tl.load(weight + columns, mask=inside, other=0.0) * rstd
    shift = tl.load(bias + columns, mask=inside, other=0.0) - mean * scale
    values = tl.load(x + place, mask=known, other=0.0).to(tl.float32) * scale[None, :] + shift[None, :]
    values = tl.where(values > 0, values, values * slope)
    tl.store(y + place, values.to(y.dtype.element_ty), mask=known)


@triton.jit
def _sums(
    grad, x, weight, bias, norms, sums, rows, channels, groups, chunk, slope,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Over a chunk of rows, each channel's gradient before the activation, and that times x_hat: as `_moments`."""
    sample = tl.program_id(2).to(tl.int64)
    first = tl.program_id(0) * chunk
    last = tl.minimum(first + chunk, rows)
    columns = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = columns < channels
    mean, rstd = _normed(norms, sample, columns, channels, groups, inside)
    w = tl.load(weight + columns, mask=inside, other=0.0)
    b = tl.load(bias + columns, mask=inside, other=0.0)
    plain = tl.zeros((WIDTH,), tl.float32)
    scaled = tl.zeros((WIDTH,), tl.float32)
    for start in range(first, last, HEIGHT):
        row = start + tl.arange(0, HEIGHT)
        known = (row < last)[:, None] & inside[None, :]
        place = (sample * rows + row)[:, None] * channels + columns[None, :]
        x_hat = (tl.load(x + place, mask=known, other=0.0).to(tl.float32) - mean[None, :]) * rstd[None, :]
        passed = tl.load(grad + place, mask=known, other=0.0).to(tl.float32)
        passed = tl.where(x_hat * w[None, :] + b[None, :] > 0, passed, passed * slope)
        plain += tl.sum(passed, 0)
        scaled += tl.sum(passed * x_hat, 0)
    target = sums + (sample * tl.num_programs(0) + tl.program_id(0)) * 2 * channels + columns
    tl.store(target, plain, mask=inside)
    tl.store(target + channels, scaled, mask=inside)


@triton.jit
def _means(
    sums, weight, totals, means, channels, chunks, count,
    PER_GROUP: tl.constexpr, WIDTH: tl.constexpr, HEIGHT: tl.constexpr,
):  # fmt: skip
    """Each channel's sums over all chunks, totals (samples, 2, channels), and their weighted means over a group."""
    group, sample = tl.program_id(0), tl.program_id(1)
    lane = tl.arange(0, WIDTH)
    inside = lane < PER_GROUP
    columns = group * PER_GROUP + lane
    source = sums + sample * chunks * 2 * channels + columns[None, :]
    plain = tl.zeros((HEIGHT, WIDTH), tl.float32)
    scaled = tl.zeros((HEIGHT, WIDTH), tl.float32)
    for start in range(0, chunks, HEIGHT):
        part = start + tl.arange(0, HEIGHT)
        known = (part < chunks)[:, None] & inside[None, :]
        place = source + part[:, None] * 2 * channels
        plain += tl.load(place, mask=known, other=0.0)
        scaled += tl.load(place + channels, mask=known, other=0.0)
    plain_total, scaled_total = tl.sum(plain, 0), tl.sum(scaled, 0)
    target = totals + sample * 2 * channels + columns
    tl.store(target, plain_total, mask=inside)
    tl.store(target + channels, scaled_total, mask=inside)
    w = tl.load(weight + columns, mask=inside, other=0.0)
    target = means + (sample * tl.num_programs(0) + group) * 2
    tl.store(target, tl.sum(w * plain_total, 0) / count)
    tl.store(target + 1, tl.sum(w * scaled_total, 0) / count)


@triton.jit
def _gradient(
    grad, x, weight, bias, norms, means, grad_x, rows, channels, groups, slope,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """d_x = rstd * (weight * grad - mean(weight * grad) - x_hat * mean(weight * grad * x_hat)) of a tile."""
    sample = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * HEIGHT + tl.arange(0, HEIGHT)
    columns = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = columns < channels
    known = (row < rows)[:, None] & inside[None, :]
    place = (sample * rows + row)[:, None] * channels + columns[None, :]
    mean, rstd = _normed(norms, sample, columns, channels, groups, inside)
    plain, scaled = _normed(means, sample, columns, channels, groups, inside)
    w = tl.load(weight + columns, mask=inside, other=0.0)
    b = tl.load(bias + columns, mask=inside, other=0.0)
    x_hat = (tl.load(x + place, mask=known, other=0.0).to(tl.float32) - mean[None, :]) * rstd[None, :]
    passed = tl.load(grad + place, mask=known, other=0.0).to(tl.float32)
    passed = tl.where(x_hat * w[None, :] + b[None, :] > 0, passed, passed * slope)
    values = rstd[None, :] * (w[None, :] * passed - plain[None, :] - x_hat * scaled[None, :])
    tl.store(grad_x + place, values.to(grad_x.dtype.element_ty), mask=known)
