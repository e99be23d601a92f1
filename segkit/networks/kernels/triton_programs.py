# mypy: disable-error-code="no-untyped-def, untyped-decorator"
"""Triton kernels of `group_norm_triton`: sums over rows, and values computed from those sums.

``rows`` x ``channels`` is the matrix of one sample. Offsets into whole tensors need 64 bits.
"""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def moments_kernel(x, moments, rows, channels, chunk, HEIGHT: tl.constexpr, WIDTH: tl.constexpr):
    """Compute mean and sum of squared differences from it for each channel in a chunk of rows.

    They are written to ``moments`` (samples, chunks, 2, channels).
    """
    sample = tl.program_id(2).to(tl.int64)
    first = tl.program_id(0) * chunk
    last = tl.minimum(first + chunk, rows)
    columns = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = columns < channels
    mean = tl.zeros((WIDTH,), tl.float32)
    squares = tl.zeros((WIDTH,), tl.float32)
    for start in range(first, last, HEIGHT):
        row = start + tl.arange(0, HEIGHT)
        valid = (row < last)[:, None] & inside[None, :]
        offset = (sample * rows + row)[:, None] * channels + columns[None, :]
        values = tl.load(x + offset, mask=valid, other=0.0).to(tl.float32)
        before = (start - first).to(tl.float32)
        count = (tl.minimum(start + HEIGHT, last) - start).to(tl.float32)
        tile_mean = tl.sum(values, 0) / count
        difference = tl.where(valid, values - tile_mean[None, :], 0.0)
        # Combine two sets as Chan et al. do: a plain sum of squares is inaccurate for a large mean.
        step = tile_mean - mean
        mean += step * (count / (before + count))
        squares += tl.sum(difference * difference, 0) + step * step * (
            before * count / (before + count)
        )
    target = moments + (sample * tl.num_programs(0) + tl.program_id(0)) * 2 * channels + columns
    tl.store(target, mean, mask=inside)
    tl.store(target + channels, squares, mask=inside)


@triton.jit
def norms_kernel(
    moments, norms, rows, channels, chunk, chunks, count, eps,
    PER_GROUP: tl.constexpr, WIDTH: tl.constexpr, HEIGHT: tl.constexpr,
):  # fmt: skip
    """Compute mean and 1 / standard deviation of each group from the moments.

    They are written to ``norms`` (samples, groups, 2).
    """
    group, sample = tl.program_id(0), tl.program_id(1)
    columns = tl.arange(0, WIDTH)
    source = moments + sample * chunks * 2 * channels + (group * PER_GROUP + columns)[None, :]
    total = tl.zeros((HEIGHT, WIDTH), tl.float32)
    for start in range(0, chunks, HEIGHT):
        part = start + tl.arange(0, HEIGHT)
        valid = (part < chunks)[:, None] & (columns < PER_GROUP)[None, :]
        means = tl.load(source + part[:, None] * 2 * channels, mask=valid, other=0.0)
        total += means * tl.minimum(chunk, rows - part * chunk).to(tl.float32)[:, None]
    mean = tl.sum(tl.sum(total, 0), 0) / count
    squares = tl.zeros((HEIGHT, WIDTH), tl.float32)
    for start in range(0, chunks, HEIGHT):
        part = start + tl.arange(0, HEIGHT)
        valid = (part < chunks)[:, None] & (columns < PER_GROUP)[None, :]
        address = source + part[:, None] * 2 * channels
        difference = tl.load(address, mask=valid, other=0.0) - mean
        counts = tl.minimum(chunk, rows - part * chunk).to(tl.float32)[:, None]
        squares += tl.where(
            valid,
            tl.load(address + channels, mask=valid, other=0.0) + counts * difference * difference,
            0.0,
        )
    variance = tl.sum(tl.sum(squares, 0), 0) / count
    target = norms + (sample * tl.num_programs(0) + group) * 2
    tl.store(target, mean)
    tl.store(target + 1, 1.0 / tl.sqrt(variance + eps))


@triton.jit
def _pair_of_group(norms, sample, columns, channels, groups, inside):
    """Return the two numbers in ``norms`` (samples, groups, 2) of the group of each channel."""
    address = norms + (sample * groups + columns // (channels // groups)) * 2
    return tl.load(address, mask=inside, other=0.0), tl.load(address + 1, mask=inside, other=0.0)


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
    """Normalize and activate the values of a tile."""
    sample = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * HEIGHT + tl.arange(0, HEIGHT)
    columns = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = columns < channels
    valid = (row < rows)[:, None] & inside[None, :]
    offset = (sample * rows + row)[:, None] * channels + columns[None, :]
    mean, rstd = _pair_of_group(norms, sample, columns, channels, groups, inside)
    scale = tl.load(weight + columns, mask=inside, other=0.0) * rstd
    shift = tl.load(bias + columns, mask=inside, other=0.0) - mean * scale
    values = (
        tl.load(x + offset, mask=valid, other=0.0).to(tl.float32) * scale[None, :] + shift[None, :]
    )
    values = tl.where(values > 0, values, values * slope)
    tl.store(y + offset, values.to(y.dtype.element_ty), mask=valid)


@triton.jit
def sums_kernel(
    grad, x, weight, bias, norms, sums, rows, channels, groups, chunk, slope,
    HEIGHT: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """Sum the gradient before the activation, and its product with x_hat, over a chunk of rows.

    The sums of each channel are written to ``sums`` (samples, chunks, 2, channels).
    """
    sample = tl.program_id(2).to(tl.int64)
    first = tl.program_id(0) * chunk
    last = tl.minimum(first + chunk, rows)
    columns = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = columns < channels
    mean, rstd = _pair_of_group(norms, sample, columns, channels, groups, inside)
    w = tl.load(weight + columns, mask=inside, other=0.0)
    b = tl.load(bias + columns, mask=inside, other=0.0)
    plain = tl.zeros((WIDTH,), tl.float32)
    scaled = tl.zeros((WIDTH,), tl.float32)
    for start in range(first, last, HEIGHT):
        row = start + tl.arange(0, HEIGHT)
        valid = (row < last)[:, None] & inside[None, :]
        offset = (sample * rows + row)[:, None] * channels + columns[None, :]
        x_hat = (tl.load(x + offset, mask=valid, other=0.0).to(tl.float32) - mean[None, :]) * rstd[
            None, :
        ]
        grad_in = tl.load(grad + offset, mask=valid, other=0.0).to(tl.float32)
        grad_in = tl.where(x_hat * w[None, :] + b[None, :] > 0, grad_in, grad_in * slope)
        plain += tl.sum(grad_in, 0)
        scaled += tl.sum(grad_in * x_hat, 0)
    target = sums + (sample * tl.num_programs(0) + tl.program_id(0)) * 2 * channels + columns
    tl.store(target, plain, mask=inside)
    tl.store(target + channels, scaled, mask=inside)


@triton.jit
def means_kernel(
    sums, weight, totals, means, channels, chunks, count,
    PER_GROUP: tl.constexpr, WIDTH: tl.constexpr, HEIGHT: tl.constexpr,
):  # fmt: skip
    """Add the sums of all chunks, and compute their weighted means over each group.

    They are written to ``totals`` (samples, 2, channels) and ``means`` (samples, groups, 2).
    """
    group, sample = tl.program_id(0), tl.program_id(1)
    lane = tl.arange(0, WIDTH)
    inside = lane < PER_GROUP
    columns = group * PER_GROUP + lane
    source = sums + sample * chunks * 2 * channels + columns[None, :]
    plain = tl.zeros((HEIGHT, WIDTH), tl.float32)
    scaled = tl.zeros((HEIGHT, WIDTH), tl.float32)
    for start in range(0, chunks, HEIGHT):
        part = start + tl.arange(0, HEIGHT)
        valid = (part < chunks)[:, None] & inside[None, :]
        address = source + part[:, None] * 2 * channels
        plain += tl.load(address, mask=valid, other=0.0)
        scaled += tl.load(address + channels, mask=valid, other=0.0)
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
    """Compute the gradient of x for a tile.

    d_x = rstd * (weight * grad - mean(weight * grad) - x_hat * mean(weight * grad * x_hat))
    """
    sample = tl.program_id(2).to(tl.int64)
    row = tl.program_id(0) * HEIGHT + tl.arange(0, HEIGHT)
    columns = tl.program_id(1) * WIDTH + tl.arange(0, WIDTH)
    inside = columns < channels
    valid = (row < rows)[:, None] & inside[None, :]
    offset = (sample * rows + row)[:, None] * channels + columns[None, :]
    mean, rstd = _pair_of_group(norms, sample, columns, channels, groups, inside)
    plain, scaled = _pair_of_group(means, sample, columns, channels, groups, inside)
    w = tl.load(weight + columns, mask=inside, other=0.0)
    b = tl.load(bias + columns, mask=inside, other=0.0)
    x_hat = (tl.load(x + offset, mask=valid, other=0.0).to(tl.float32) - mean[None, :]) * rstd[
        None, :
    ]
    grad_in = tl.load(grad + offset, mask=valid, other=0.0).to(tl.float32)
    grad_in = tl.where(x_hat * w[None, :] + b[None, :] > 0, grad_in, grad_in * slope)
    values = rstd[None, :] * (w[None, :] * grad_in - plain[None, :] - x_hat * scaled[None, :])
    tl.store(grad_x + offset, values.to(grad_x.dtype.element_ty), mask=valid)
