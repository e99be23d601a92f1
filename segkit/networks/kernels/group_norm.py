"""GroupNorm that is fast and accurate in channels-last memory format.

On a GPU the Triton kernel is used (`cuda_norm`). On a CPU there are two problems.

PyTorch's own backward pass (2.13) takes 2 to 8 times as long as BatchNorm's, and with bfloat16 more
time than the convolution before it. BatchNorm's kernels are fast and can be used: they are given
the group statistics of a sample as if these were running statistics of its channels.

PyTorch's own forward pass computes the variance of a group as the mean of the squares minus the
square of the mean, summed sequentially in float32. If the mean of a group is many times its
standard deviation, as after a convolution of air, nothing is left of the variance: normalized
values were wrong by up to 120. Even at mean 0 they are wrong by 4e-3 over 128^3 voxels, and by a
different amount for another number of threads. The statistics here subtract the mean first.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from segkit.networks.kernels.cuda_norm import kernel_for, slope_of
from segkit.networks.kernels.memory_format import CHANNELS_LAST, is_channels_last

MIN_VALUES = 1 << 16
"""Values of a sample from which `GroupNormFunction` is faster than PyTorch's own GroupNorm."""
CACHED_VALUES = 1 << 17
"""Values whose statistics are computed at a time: half a megabyte in float32."""


class GroupNorm(nn.GroupNorm):
    """nn.GroupNorm, with `GroupNormFunction` or the Triton kernel where that is better."""

    def scale_and_shift(self) -> tuple[Tensor, Tensor]:
        """Return scale and shift (C,), which derived classes may compute."""
        return self.weight, self.bias

    def normalize_and_activate(self, input: Tensor, activation: nn.Module) -> Tensor:
        """Normalize (B, C, X, Y[, Z]) and apply ``activation``, if possible in one kernel."""
        slope = slope_of(activation)
        kernel = None if slope is None else kernel_for(input)
        if kernel:
            return kernel(
                input, *self.scale_and_shift(), groups=self.num_groups, eps=self.eps, slope=slope
            )
        result: Tensor = activation(self(input))
        return result

    def forward(self, input: Tensor) -> Tensor:
        """Normalize (B, C, X, Y[, Z]); the shape stays the same."""
        kernel, (weight, bias) = kernel_for(input), self.scale_and_shift()
        if kernel:
            return kernel(input, weight, bias, groups=self.num_groups, eps=self.eps, slope=None)
        if weight.dtype != torch.float32 or not _is_inaccurate(input):
            return F.group_norm(input, self.num_groups, weight, bias, self.eps)
        if input.numel() < MIN_VALUES * input.shape[0]:
            # PyTorch's kernels for contiguous tensors are accurate, and a small copy is fast.
            return F.group_norm(
                input.contiguous(), self.num_groups, weight, bias, self.eps
            ).contiguous(memory_format=CHANNELS_LAST[input.ndim])
        return group_norm(input, weight, bias, groups=self.num_groups, eps=self.eps)


def _is_inaccurate(x: Tensor) -> bool:
    """Return whether PyTorch's kernels lose digits: on a CPU in channels-last format."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and is_channels_last(x)
    )


def accurate_group_norm(
    x: Tensor, weight: Tensor, bias: Tensor, *, groups: int, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return F.group_norm of ``x``, and the mean and 1 / standard deviation of each group.

    The statistics are (B, groups) in float32.

    Args:
        x: (B, C, X, Y[, Z]) in channels-last format, float32 or bfloat16.
        weight, bias: (C,).
        groups: number of groups, which divides C.
        eps: number added to the variance.
    """
    y, unused, statistics = torch.empty_like(x), torch.empty(0), []
    for sample, target in zip(torch.split(x, 1), torch.split(y, 1), strict=True):
        statistics.append(torch.stack(_statistics(sample, groups)))
        mean, var = statistics[-1].repeat_interleave(x.shape[1] // groups, dim=1)
        torch.native_batch_norm(
            sample, weight, bias, mean, var, False, 0.0, eps, out=(target, unused, unused)
        )
    means, variances = torch.stack(statistics, dim=1)
    return y, means, torch.rsqrt(variances + eps)


def _statistics(sample: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Return mean and variance (groups,) of a sample (1, C, X, Y[, Z]).

    They are combined from parts that fit into the cache. With n_k of n voxels in part k:
    mean = sum(n_k mean_k) / n, var = sum(n_k (var_k + (mean_k - mean)^2)) / n.
    """
    channels = sample.shape[1]
    rows = sample.movedim(1, -1).reshape(-1, channels)
    parts = torch.split(rows, max(1, CACHED_VALUES // channels))
    none = torch.zeros(channels)  # running statistics, which are not changed
    statistics = [
        torch.ops.aten.batch_norm_update_stats(part.T[None, :, :, None], none, none, 0.0)
        for part in parts
    ]
    means, variances = (torch.stack(values).double() for values in zip(*statistics, strict=True))
    shares = torch.tensor([len(part) / len(rows) for part in parts], dtype=torch.float64)
    # The mean over rows is more accurate, but slow in bfloat16, whose numbers have few digits.
    mean = rows.mean(0).double() if sample.dtype == torch.float32 else shares @ means
    mean = mean.view(groups, -1).mean(1)
    difference = means.view(len(parts), groups, -1) - mean[:, None]
    var = shares @ (variances.view_as(difference) + difference**2).mean(2)
    return mean.float(), var.float()


def group_norm(x: Tensor, weight: Tensor, bias: Tensor, *, groups: int, eps: float) -> Tensor:
    """Return F.group_norm of ``x`` by `GroupNormFunction`; arguments as `accurate_group_norm`."""
    function, settings = GroupNormFunction, (groups, eps)
    normalized: Tensor = function.apply(x, weight, bias, settings)  # type: ignore[no-untyped-call]
    return normalized


class GroupNormFunction(torch.autograd.Function):
    """y = weight * (x - mean) * rstd + bias, with mean and rstd of each group of a sample."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, settings: tuple[int, float]
    ) -> Tensor:
        """Normalize ``x`` by `accurate_group_norm`; ``settings`` is (groups, eps)."""
        groups, eps = settings
        y, mean, rstd = accurate_group_norm(x, weight, bias, groups=groups, eps=eps)
        ctx.save_for_backward(x, weight, mean, rstd)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Return the gradients of x, weight and bias of the norm (Wu & He, arXiv 1803.08494)."""
        x, weight, means, rstds = ctx.saved_tensors
        # The gradient of one input of a concatenation has the strides of the larger tensor.
        grad = grad.contiguous(memory_format=CHANNELS_LAST[x.ndim])
        grad_x, grad_weight, grad_bias = (
            torch.empty_like(x),
            torch.zeros_like(weight),
            torch.zeros_like(weight),
        )
        for sample in range(x.shape[0]):
            part = slice(sample, sample + 1)
            d_weight, d_bias = _gradient(
                grad[part], x[part], weight, means[sample], rstds[sample], out=grad_x[part]
            )
            grad_weight += d_weight
            grad_bias += d_bias
        return grad_x, grad_weight, grad_bias, None


def _gradient(
    grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, *, out: Tensor
) -> tuple[Tensor, Tensor]:
    """Write the gradient of one sample's x into ``out``, and return those of weight and bias.

    With n values in a group and x_hat = (x - mean) * rstd,

        d_y = weight * grad
        d_x = rstd * (d_y - sum(d_y) / n - x_hat * sum(d_y * x_hat) / n)

    which is weight * rstd * grad + slope * x + offset. The first term and the sums of grad and
    grad * x_hat over the voxels come from BatchNorm's kernel; slope and offset are one number per
    group.
    """
    channels, per_group = len(weight), len(weight) // len(mean)
    count = per_group * x[0, 0].numel()
    mean_c, rstd_c = mean.repeat_interleave(per_group), rstd.repeat_interleave(per_group)
    in_half = x.dtype != torch.float32
    scaled, d_weight, d_bias = torch.ops.aten.native_batch_norm_backward(
        grad, x, weight, mean_c, rstd_c**-2, None, None, False, 0.0, [in_half, True, True]
    )
    sums = (weight * torch.stack((d_bias, d_weight))).view(2, len(mean), per_group).sum(2) / count
    slope = -rstd * rstd * sums[1]
    offset = -rstd * sums[0] - mean * slope
    slope, offset = slope.repeat_interleave(per_group), offset.repeat_interleave(per_group)
    if in_half:
        # Kernels with broadcasting are slow in bfloat16; BatchNorm multiplies and adds per channel.
        none, one = torch.zeros(channels), torch.ones(channels)
        rest = torch.native_batch_norm(x, slope, offset, none, one, False, 0.0, 0.0)[0]
        torch.add(scaled, rest, out=out)
    else:
        shape = (1, channels, *[1] * (x.ndim - 2))
        torch.addcmul(offset.view(shape), x, slope.view(shape), out=out)
        out.addcmul_(grad, (weight * rstd_c).view(shape))
    return d_weight, d_bias
