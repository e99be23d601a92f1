"""Batch renormalization: BatchNorm that stays usable with one or two samples per batch.

Ioffe, "Batch Renormalization", 2017 (arXiv 1702.03275). BatchNorm trains with the statistics of a
batch and predicts with their running average; the fewer samples a batch has, the more the two
differ. Here training corrects the normalized values to those of the running average:

    y = weight * ((x - mean) / std * r + d) + bias
    r = std / running_std              between 1 / r_max and r_max
    d = (mean - running_mean) / running_std    between -d_max and d_max

No gradient flows into r and d. Inside of their bounds, y is what prediction computes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

MOMENTUM = 0.01
"""Weight of a new batch in the running statistics, as in the paper."""
BATCHES_UNCORRECTED = 50
"""Number of batches at first for which r is 1 and d is 0, which is BatchNorm."""
BATCHES_TO_D_MAX = 250
"""Number of batches after which d may reach D_MAX; before, the bound rises linearly."""
BATCHES_TO_R_MAX = 400
"""Number of batches after which r may reach R_MAX.

The three numbers are a hundredth of the paper's, because a training takes some thousand steps
instead of some hundred thousand.
"""
D_MAX = 5.0
"""Bound of d in the end, as in the paper."""
R_MAX = 3.0
"""Bound of r in the end, as in the paper."""


class BatchRenorm(nn.Module):
    """Batch renormalization of (B, C, X, Y[, Z]) with a scale and a shift per channel.

    ``running_std`` includes ``eps``: it is the average of sqrt(variance + eps). The counter
    ``batches`` determines the bounds of r and d; its name is not BatchNorm's, so that a training
    that starts from a BatchNorm model does not take over its count, without the right statistics.
    """

    running_mean: Tensor
    running_std: Tensor
    batches: Tensor

    def __init__(self, channels: int, *, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_std", torch.ones(channels))
        self.register_buffer("batches", torch.tensor(0))

    @property
    def num_batches_tracked(self) -> Tensor:
        """The counter by BatchNorm's name, for code that treats both norms alike."""
        return self.batches

    def extra_repr(self) -> str:
        """Return what stands in parentheses when the layer is printed."""
        return f"{len(self.weight)}, eps={self.eps}"

    def forward(self, input: Tensor) -> Tensor:
        """Normalize (B, C, X, Y[, Z]); the shape stays the same.

        Raises:
            ValueError: in training, a single value per channel, which has no spread.
        """
        if not self.training:
            return functional.batch_norm(
                input, self.running_mean, self.running_std**2, self.weight, self.bias, eps=0.0
            )
        mean, std = batch_statistics(input, self.eps)
        r, d = self._corrections(mean, std)
        # The scale and the shift of BatchNorm's kernel include the correction: gradients of weight
        # and bias follow, and nothing more than BatchNorm keeps is kept for the backward pass.
        normalized = functional.batch_norm(
            input,
            None,
            None,
            self.weight * r,
            self.bias + self.weight * d,
            training=True,
            eps=self.eps,
        )
        self._update(mean, std)
        return normalized

    @torch.no_grad()
    def _corrections(self, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Return r and d (C,) of a batch with these statistics (C,)."""
        r_max, d_max = bounds(self.batches)
        r = torch.clamp(std / self.running_std, 1 / r_max, r_max)
        d = torch.clamp((mean - self.running_mean) / self.running_std, -d_max, d_max)
        return r, d

    @torch.no_grad()
    def _update(self, mean: Tensor, std: Tensor) -> None:
        """Average the running statistics with those of a batch (C,)."""
        self.batches += 1
        # The first batches are averaged equally, so that the initial values are forgotten at once.
        share = (1 / self.batches.double()).clamp(min=MOMENTUM).to(std.dtype)
        self.running_mean.lerp_(mean, share)
        self.running_std.lerp_(std, share)


def bounds(batches: Tensor) -> tuple[Tensor, Tensor]:
    """Return r_max and d_max after a number of batches, without waiting for a GPU.

    >>> [bound.item() for bound in bounds(torch.tensor(225))]
    [2.0, 4.375]
    """
    later = batches.double() - BATCHES_UNCORRECTED
    to_r_max, to_d_max = (
        (later / (last - BATCHES_UNCORRECTED)).clamp(0, 1)
        for last in (BATCHES_TO_R_MAX, BATCHES_TO_D_MAX)
    )
    return 1 + (R_MAX - 1) * to_r_max, D_MAX * to_d_max


def batch_statistics(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """Return mean and sqrt(variance + eps) of each channel of (B, C, X, Y[, Z]).

    They are float32 for half-precision input. The variance is the mean of the squared deviations.
    """
    x = x.detach()
    dtype = torch.float32 if x.dtype in (torch.bfloat16, torch.float16) else x.dtype
    unused = torch.zeros(x.shape[1], dtype=dtype, device=x.device)
    mean, var = torch.ops.aten.batch_norm_update_stats(x, unused, unused, 0.0)
    return mean, (var + eps).sqrt()
