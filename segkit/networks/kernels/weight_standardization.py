"""Convolutions with standardized kernels, for use before a norm.

Qiao et al., "Weight Standardization", 2019 (arXiv 1903.10520): the weights of each output channel
are shifted and scaled to mean 0 and a fixed spread before they are used. The network stores and
trains the weights as they are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from segkit.networks.kernels.convolution import Conv2d, Conv3d

EPS = 1e-10
"""Number added to the variance of the weights of a channel, which is above 1e-4 at first."""


def standardized(weight: Tensor) -> Tensor:
    """Return a kernel (out, in, x, y[, z]) with mean 0 and variance 2 / (in * x * y[ * z]) per out.

    This is the variance of He's initialization (arXiv 1502.01852), so that a new network starts as
    one without standardization. A constant kernel becomes 0.

    >>> standardized(torch.tensor([[[[3.0, 5.0]]]]))
    tensor([[[[-1.,  1.]]]])
    """
    axes = list(range(1, weight.ndim))
    var, mean = torch.var_mean(weight, axes, correction=0, keepdim=True)
    gain = math.sqrt(2 / weight[0].numel())
    return (weight - mean) * (gain * (var + EPS).rsqrt())


class StandardizedConv2d(Conv2d):
    """Conv2d whose kernel is `standardized`."""

    def kernel(self) -> Tensor:
        """Return the kernel that the convolution uses."""
        return standardized(self.weight)


class StandardizedConv3d(Conv3d):
    """Conv3d whose kernel is `standardized`."""

    def kernel(self) -> Tensor:
        """Return the kernel that the convolution uses."""
        return standardized(self.weight)
