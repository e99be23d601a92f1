"""U-Net (Ronneberger et al., arXiv 1505.04597) in the form of nnU-Net, built from a plan."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from segkit.networks.blocks import (
    DecoderStage,
    averaged_first,
    initialize,
    plain_stage,
    score_head,
)
from segkit.plans.plan import Plan

Stage = Callable[..., nn.Sequential]
"""Builder of an encoder stage with the arguments of `segkit.networks.blocks.plain_stage`."""


def spatial_axes(plan: Plan) -> tuple[int, ...]:
    """Return the axes (0 X, 1 Y, 2 Z) of the convolutions: in 2D without the slice axis."""
    return tuple(axis for axis in range(3) if axis != plan.slice_axis)


class UNet(nn.Module):
    """U-Net with strided convolutions in the encoder and transposed convolutions in the decoder.

    With the plan's downsampling ``average``, averages over blocks replace the strides.

    Args:
        plan: kernels, strides, channels and groups of every layer.
        stage: builder of the encoder stages.
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
        """Heads of the lower decoder stages, from shallow to deep; used in training only."""
        initialize(self)

    def features(self, x: Tensor) -> Tensor:
        """Return the input of ``head``, (B, width, X, Y[, Z]), for images (B, C, X, Y[, Z])."""
        for features in self._decoded(x):
            x = features
        return x

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Return scores (B, classes, X, Y[, Z]) for images (B, channels, X, Y[, Z]).

        Every edge of the images must be a multiple of the plan's divisor. In training with deep
        supervision, return a list of scores, one per decoder stage, full resolution first.
        """
        if not (self.training and len(self.deep_heads)):
            scores: Tensor = self.head(self.features(x))
            return scores
        # The features of the bottleneck come last here and have no head.
        shallow_first = reversed(list(self._decoded(x)))
        return [
            head(features)
            for head, features in zip([self.head, *self.deep_heads], shallow_first, strict=False)
        ]

    def _decoded(self, x: Tensor) -> Iterator[Tensor]:
        """Yield the features of the bottleneck, then of the decoder stages from deep to shallow."""
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
        averaged = plan.network.downsampling == "average" and max(stride) > 1
        module = stage(
            width,
            part.layers,
            kernel=kernel,
            stride=[1] * len(axes) if averaged else stride,
            activation=plan.network.activation,
        )
        modules.append(averaged_first(module, stride) if averaged else module)
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
    """Return the output channels of the decoder stages, from shallow to deep.

    Without a decoder, return those of the only encoder stage.
    """
    stages = plan.network.decoder or plan.network.encoder
    return [stage.layers[-1].channels for stage in reversed(stages)]
