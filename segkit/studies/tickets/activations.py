"""Statistics of the activations before and after each norm, and how pruning shifts them.

Pruning shrinks the outputs of a convolution. A norm that computes its statistics from the sample
that it normalizes undoes this; one with stored statistics (BatchNorm) passes it on. Here both sides
of each norm are measured, so that this can be seen rather than believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from segkit.networks.blocks import ConvBlock
from segkit.networks.kernels.batch_renorm import BatchRenorm
from segkit.sliding_window.windows import apply_network

NORMS = (nn.GroupNorm, nn.modules.batchnorm._NormBase, BatchRenorm)
"""Classes of norm layers; instance and batch norms are of the second."""


@dataclass
class Moments:
    """Mean and standard deviation of each channel (C,), over samples and voxels, in float64."""

    count: int = 0
    total: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))
    squares: Tensor = field(default_factory=lambda: torch.zeros(1, dtype=torch.float64))

    def add(self, x: Tensor) -> None:
        """Add the values of x (B, C, X, Y[, Z])."""
        channels = x.detach().double().movedim(1, 0).flatten(1)
        self.total = self.total + channels.sum(1)
        self.squares = self.squares + channels.square().sum(1)
        self.count += channels.shape[1]

    @property
    def mean(self) -> Tensor:
        return self.total / self.count

    @property
    def sd(self) -> Tensor:
        """Standard deviation, which is 0 for a channel that is constant up to rounding."""
        squares = self.squares / self.count
        variance = squares - self.mean.square()
        return torch.where(variance > 1e-12 * squares, variance, 0.0).clamp_min(0).sqrt()


@dataclass(frozen=True)
class NormMoments:
    """Moments of the channels before and after one norm."""

    before: Moments = field(default_factory=Moments)
    after: Moments = field(default_factory=Moments)

    def of_norm(self, _norm: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        """Add a call of the norm; a forward hook of it."""
        self.before.add(inputs[0])
        self.after.add(output)

    def of_convolution(self, norm: nn.Module) -> Callable[..., None]:
        """Return a forward hook of the convolution before ``norm``, which adds both sides."""
        return lambda _convolution, _inputs, output: self.of_norm(norm, (output,), norm(output))


@dataclass(frozen=True)
class Shift:
    """Change of the channels of one layer, relative to a reference."""

    sd_ratio: float | None
    """Geometric mean over channels of the ratio of standard deviations; 1 is no change. None if no
    channel varies in both."""
    mean_shift: float | None
    """Root mean square over channels of the change of the mean, in standard deviations of the
    reference; 0 is no change. None if no channel varies in the reference."""
    constant_channels: int
    """Number of channels that varied in the reference and no longer do."""


@torch.inference_mode()
def norm_moments(
    network: nn.Module, patches: Sequence[Tensor], slice_axis: int | None
) -> dict[str, NormMoments]:
    """Return the moments on both sides of every norm, by the name of the norm.

    Args:
        network: in evaluation mode; a norm with stored statistics uses these.
        patches: images (C, X, Y, Z) of the size of the plan's patch.
        slice_axis: axis of the slices of a 2D network (`apply_network`).
    """
    moments: dict[str, NormMoments] = {}
    with _watching(network, moments):
        for patch in patches:
            apply_network(network, patch[None], slice_axis)
    return moments


@contextmanager
def _watching(network: nn.Module, moments: dict[str, NormMoments]) -> Iterator[None]:
    """Add what every norm gets and returns to ``moments`` while the context is open.

    A `ConvBlock` may compute its norm and its activation in one kernel, without calling the norm.
    There the output of the convolution is normalized once more.
    """

    hooks = []
    in_blocks: set[nn.Module] = set()
    for name, module in network.named_modules():
        if isinstance(module, ConvBlock) and isinstance(module.norm, NORMS):
            in_blocks.add(module.norm)
            layer = moments.setdefault(f"{name}.norm".lstrip("."), NormMoments())
            hooks.append(module.conv.register_forward_hook(layer.of_convolution(module.norm)))
        elif isinstance(module, NORMS) and module not in in_blocks:
            layer = moments.setdefault(name, NormMoments())
            hooks.append(module.register_forward_hook(layer.of_norm))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def shift(reference: Moments, changed: Moments) -> Shift:
    """Return how the channels have changed.

    Channels that do not vary in the reference are left out.

    >>> a, b = Moments(), Moments()
    >>> a.add(torch.tensor([[[0.0, 2.0]]])); b.add(torch.tensor([[[2.0, 3.0]]]))
    >>> shift(a, b)
    Shift(sd_ratio=0.5, mean_shift=1.5, constant_channels=0)
    """
    varied = reference.sd > 0
    still = varied & (changed.sd > 0)
    logs = (changed.sd[still] / reference.sd[still]).log()
    shifts = (changed.mean - reference.mean)[varied] / reference.sd[varied]
    return Shift(
        float(logs.mean().exp()) if len(logs) else None,
        float(shifts.square().mean().sqrt()) if len(shifts) else None,
        int((varied & ~still).sum()),
    )


def shift_rows(
    reference: Mapping[str, NormMoments], changed: Mapping[str, NormMoments]
) -> list[dict[str, str | float | int | None]]:
    """Return a row for each layer and side of its norm, from input to output of the network.

    Args:
        reference: moments of the network before the change.
        changed: moments of the same layers after it, on the same patches.
    """
    rows: list[dict[str, str | float | int | None]] = []
    for layer, moments in reference.items():
        for side in ("before", "after"):
            change = shift(getattr(moments, side), getattr(changed[layer], side))
            rows.append(
                {
                    "layer": layer,
                    "side": f"{side} the norm",
                    "sd_ratio": change.sd_ratio,
                    "mean_shift": change.mean_shift,
                    "constant_channels": change.constant_channels,
                }
            )
    return rows
