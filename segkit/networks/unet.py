"""The U-Net (Ronneberger et al., arXiv 1505.04597) as nnU-Net lays it out, every block as the plan says."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from segkit.networks.blocks import DecoderStage, initialise, plain_stage, score_head
from segkit.plans.plan import Plan

Stage = Callable[..., nn.Module]
"""Builds an encoder stage: (in_channels, layers, *, kernel, stride, activation), as `plain_stage` does."""


def spatial_axes(plan: Plan) -> tuple[int, ...]:
    """The axes of X, Y, Z that the network convolves over: all but a 2D plan's slice axis."""
    return tuple(axis for axis in range(3) if axis != plan.slice_axis)


class UNet(nn.Module):
    """Scores per class at the resolution of the input.

    Convolutions with stride lead down, transposed convolutions up. ``forward`` takes (B, channels, X, Y[, Z]), every
    edge a multiple of the plan's divisor, and returns (B, classes, X, Y[, Z]); in training with deep supervision a
    list of scores, one per decoder stage, full resolution first.
    """

    def __init__(self, plan: Plan, stage: Stage = plain_stage) -> None:
        super().__init__()
        self.encoder = _encoder(plan, stage)
        self.decoder = _decoder(plan)
        heads = [
            score_head(width, len(plan.label_values), plan.dims) for width in _output_widths(plan)
        ]
        self.head = heads[0]
        self.deep_heads = nn.ModuleList(heads[1:] if plan.network.deep_supervision else [])
        """Heads of the decoder stages below the full resolution, from shallow to deep; used in training only."""
        initialise(self)

    def features(self, x: Tensor) -> Tensor:
        """What enters ``head``: (B, width, X, Y[, Z])."""
        for features in self._decoded(x):
            x = features
        return x

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """See the class."""
        if not (self.training and len(self.deep_heads)):
            scores: Tensor = self.head(self.features(x))
            return scores
        # The bottleneck's features come last here and have no head.
        shallow_first = reversed(list(self._decoded(x)))
        return [
            head(features)
            for head, features in zip([self.head, *self.deep_heads], shallow_first, strict=False)
        ]

    def _decoded(self, x: Tensor) -> Iterator[Tensor]:
        """Features of the bottleneck, then of the decoder stages, from deep to shallow."""
        skips = []
        for stage in self.encoder:
            x = stage(x)
            skips.append(x)
        yield skips.pop()
        for stage in self.decoder:
            x = stage(x, skips.pop())
            yield x


def _encoder(plan: Plan, stage: Stage) -> nn.ModuleList:
    axes, width = spatial_axes(plan), len(plan.channels)
    modules = nn.ModuleList()
    for part in plan.network.encoder:
        kernel, stride = [part.kernel[axis] for axis in axes], [part.stride[axis] for axis in axes]
        modules.append(
            stage(
                width, part.layers, kernel=kernel, stride=stride, activation=plan.network.activation
            )
        )
        width = part.layers[-1].channels
    return modules


def _decoder(plan: Plan) -> nn.ModuleList:
    axes = spatial_axes(plan)
    *skips, below = (part.layers[-1].channels for part in plan.network.encoder)
    modules = nn.ModuleList()
    for part, skip in zip(plan.network.decoder, reversed(skips), strict=True):
        kernel, stride = [part.kernel[axis] for axis in axes], [part.stride[axis] for axis in axes]
        modules.append(
            DecoderStage(
                below,
                skip,
                part.layers,
                kernel=kernel,
                stride=stride,
                activation=plan.network.activation,
            )
        )
        below = part.layers[-1].channels
    return modules


def _output_widths(plan: Plan) -> list[int]:
    """Channels out of the decoder stages, from shallow to deep; of the only encoder stage if there is no decoder."""
    stages = plan.network.decoder or plan.network.encoder
    return [stage.layers[-1].channels for stage in reversed(stages)]
