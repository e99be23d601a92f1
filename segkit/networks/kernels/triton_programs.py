# mypy: disable-error-code="no-untyped-def, untyped-decorator"
"""The kernels of `segkit.networks.kernels.group_norm_triton`: sums over rows, and values from those sums.

`rows` x `channels` is one sample's matrix; offsets into whole tensors need 64 bits.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def moments_kernel(x, moments, rows, channels, chunk, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
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
def norms_kernel(
    moments, norms, rows, channels, chunk, chunks, count, eps,
    PER_GROUP: tl.constexpr, WIDTH: tl.constexpr, HEIGHT: tl.constexpr,
):  # fmt: skip
    """Mean and 1 / standard deviation of each group from `moments_kernel`: norms (samples, groups, 2)."""
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
        squares += tl.where(
            known, tl.load(place + channels, mask=known, other=0.0) + counts * away * away, 0.0
        )
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
def apply_kernel(
    x,
    weight,
    bias,
    norms,
    y,
    rows,
    channels,
    groups,
    slope,
    HEIGHT: tl.constexpr,
    WIDTH: tl.constexpr,
):
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
    values = (
        tl.load(x + place, mask=known, other=0.0).to(tl.float32) * scale[None, :] + shift[None, :]
    )
    values = tl.where(values > 0, values, values * slope)
    tl.store(y + place, values.to(y.dtype.element_ty), mask=known)


@triton.jit
def sums_kernel(
    grad, x, weight, bias, norms, sums, rows, channels, groups, chunk, slope,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Over a chunk of rows, each channel's gradient before the activation, and that times x_hat."""
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
        x_hat = (tl.load(x + place, mask=known, other=0.0).to(tl.float32) - mean[None, :]) * rstd[
            None, :
        ]
        passed = tl.load(grad + place, mask=known, other=0.0).to(tl.float32)
        passed = tl.where(x_hat * w[None, :] + b[None, :] > 0, passed, passed * slope)
        plain += tl.sum(passed, 0)
        scaled += tl.sum(passed * x_hat, 0)
    target = sums + (sample * tl.num_programs(0) + tl.program_id(0)) * 2 * channels + columns
    tl.store(target, plain, mask=inside)
    tl.store(target + channels, scaled, mask=inside)


@triton.jit
def means_kernel(
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
def gradient_kernel(
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
    x_hat = (tl.load(x + place, mask=known, other=0.0).to(tl.float32) - mean[None, :]) * rstd[
        None, :
    ]
    passed = tl.load(grad + place, mask=known, other=0.0).to(tl.float32)
    passed = tl.where(x_hat * w[None, :] + b[None, :] > 0, passed, passed * slope)
    values = rstd[None, :] * (w[None, :] * passed - plain[None, :] - x_hat * scaled[None, :])
    tl.store(grad_x + place, values.to(grad_x.dtype.element_ty), mask=known)
