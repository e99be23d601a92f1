"""GroupNorm that is fast and accurate in channels-last layout: by own kernels on a GPU (`cuda_norm`), on a CPU so:

PyTorch's own backward pass (2.13) takes 2 to 8 times as long there as that of BatchNorm, and with bfloat16 more time
than the convolution before it. BatchNorm's kernels are fast and can do the work: a sample's group statistics are given
to them as if they were running statistics of its channels.

PyTorch's own forward pass adds up all values of a group one after the other: over 128^3 voxels the result is off by
4e-3, otherwise for another number of threads. That is less than a training notices; a prediction in float32 takes
statistics of a few thousand voxels at a time, to 1e-5.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from segkit.networks.channels_last import CHANNELS_LAST, is_channels_last
from segkit.networks.cuda_norm import kernel_for, slope_of

WORTH_IT = 1 << 16
"""Values of a sample from which the own backward pass is faster; below it PyTorch's many small calls cost more."""
IN_CACHE = 1 << 17
"""Values of which statistics are taken at a time: half a megabyte."""


class GroupNorm(nn.GroupNorm):
    """nn.GroupNorm, with :class:`GroupNormFunction` or a CUDA kernel where that is faster."""

    def activated(self, input: Tensor, activation: nn.Module) -> Tensor:
        """``activation`` of the normed ``input`` (B, C, ...), in one go where there is a kernel for both."""
        slope = slope_of(activation)
        kernel = None if slope is None else kernel_for(input)
        if kernel:
            return kernel(input, self.weight, self.bias, groups=self.num_groups, eps=self.eps, slope=slope)
        result: Tensor = activation(self(input))
        return result

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, ...) to the same shape."""
        kernel = kernel_for(input)
        if kernel:
            return kernel(input, self.weight, self.bias, groups=self.num_groups, eps=self.eps, slope=None)
        if self.weight.dtype == torch.float32 and _is_large(input):
            # In training also where gradients are off, because the activations are computed anew for them.
            if self.training or torch.is_grad_enabled():
                return group_norm(input, self.weight, self.bias, groups=self.num_groups, eps=self.eps)
            if input.dtype == torch.float32:
                return accurate_group_norm(input, self.weight, self.bias, groups=self.num_groups, eps=self.eps)
        return super().forward(input)


def _is_large(x: Tensor) -> bool:
    """And in a layout in which PyTorch is slow, and inaccurate."""
    return (
        x.device.type == "cpu"
        and x.dtype in (torch.float32, torch.bfloat16)
        and x.numel() >= WORTH_IT * x.shape[0]
        and is_channels_last(x)
    )


def accurate_group_norm(x: Tensor, weight: Tensor, bias: Tensor, *, groups: int, eps: float) -> Tensor:
    """F.group_norm of a float32 ``x`` (B, C, ...) in channels-last layout, without a backward pass."""
    y, unused = torch.empty_like(x), torch.empty(0)
    for sample, target in zip(torch.split(x, 1), torch.split(y, 1), strict=True):
        mean, var = (each.repeat_interleave(x.shape[1] // groups) for each in _statistics(sample, groups))
        torch.native_batch_norm(sample, weight, bias, mean, var, False, 0.0, eps, out=(target, unused, unused))
    return y


def _statistics(sample: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """Mean and variance (groups,) of a sample (1, C, ...): those of parts that fit into a cache, put together.

    With n_k of n voxels in part k: mean = sum(n_k mean_k) / n, var = sum(n_k (var_k + (mean_k - mean)^2)) / n.
    """
    channels = sample.shape[1]
    rows = sample.movedim(1, -1).reshape(-1, channels)
    parts = torch.split(rows, max(1, IN_CACHE // channels))
    none = torch.zeros(channels)  # running statistics, which stay as they are
    found = [torch.ops.aten.batch_norm_update_stats(part.T[None, :, :, None], none, none, 0.0) for part in parts]
    means, variances = (torch.stack(each).double().view(len(parts), groups, -1) for each in zip(*found, strict=True))
    shares = torch.tensor([len(part) / len(rows) for part in parts], dtype=torch.float64)
    mean = shares @ means.mean(2)
    var = shares @ (variances + (means - mean[:, None]) ** 2).mean(2)
    return mean.float(), var.float()


def group_norm(x: Tensor, weight: Tensor, bias: Tensor, *, groups: int, eps: float) -> Tensor:
    """F.group_norm of a float32 or bfloat16 ``x`` (B, C, ...) in channels-last layout, with the own backward pass."""
    normed: Tensor = GroupNormFunction.apply(x, weight, bias, (groups, eps))  # type: ignore[no-untyped-call]
    return normed


class GroupNormFunction(torch.autograd.Function):
    """y = weight * (x - mean) * rstd + bias, mean and 1 / standard deviation taken over each group of a sample."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, settings: tuple[int, float]) -> Tensor:
        """PyTorch's own, which is fast in every layout."""
        samples, channels, *edges = x.shape
        y, mean, rstd = torch.native_group_norm(x, weight, bias, samples, channels, math.prod(edges), *settings)
        ctx.save_for_backward(x, weight, mean.float(), rstd.float())
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Gradients of x, weight and bias; see Wu & He, arXiv 1803.08494, for the norm."""
        x, weight, means, rstds = ctx.saved_tensors
        # Gradients that come out of a concatenation have the strides of the larger tensor.
        grad = grad.contiguous(memory_format=CHANNELS_LAST[x.ndim])
        grad_x, grad_weight, grad_bias = torch.empty_like(x), torch.zeros_like(weight), torch.zeros_like(weight)
        for sample in range(x.shape[0]):
            part = slice(sample, sample + 1)
            d_weight, d_bias = _gradient(grad[part], x[part], weight, means[sample], rstds[sample], out=grad_x[part])
            grad_weight += d_weight
            grad_bias += d_bias
        return grad_x, grad_weight, grad_bias, None


def _gradient(
    grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, *, out: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradient of one sample's x into ``out``; those of weight and bias are returned.

    With n values in a group and x_hat = (x - mean) * rstd,

        d_x = rstd * (weight * grad - sum(weight * grad) / n - x_hat * sum(weight * grad * x_hat) / n)

    which is weight * rstd * grad + slope * x + offset: the first term and the sums over voxels of grad and
    grad * x_hat come from BatchNorm's kernel, slope and offset are numbers of a group.
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
        # The kernels that broadcast are slow in bfloat16; BatchNorm's adds and multiplies per channel.
        none, one = torch.zeros(channels), torch.ones(channels)
        rest = torch.native_batch_norm(x, slope, offset, none, one, False, 0.0, 0.0)[0]
        torch.add(scaled, rest, out=out)
    else:
        shape = (1, channels, *[1] * (x.ndim - 2))
        torch.addcmul(offset.view(shape), x, slope.view(shape), out=out)
        out.addcmul_(grad, (weight * rstd_c).view(shape))
    return d_weight, d_bias
