"""Statistics of the activations before and after each norm, and how pruning shifts them.

Pruning shrinks the outputs of a convolution. A norm that computes its statistics from the sample
that it normalizes undoes this; one with stored statistics (BatchNorm) passes it on. Here both sides
of each norm are measured, so that this can be seen rather than believed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from segkit.networks.kernels.recompute import recomputing
from segkit.plans.plan import Plan
from segkit.sliding_window.windows import apply_network
from segkit.studies.normalization.layer_statistics import Moments, patch_moments
from segkit.studies.normalization.layers import norm_modules

ROUNDING = 1e-12
"""Share of the mean square up to which a variance is rounding."""


@dataclass(frozen=True)
class NormMoments:
    """Statistics of each channel before and after one norm, over all patches: (1, channels)."""

    before: Moments
    after: Moments


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
    network: nn.Module, plan: Plan, patches: Sequence[Tensor]
) -> dict[str, NormMoments]:
    """Return the statistics on both sides of every norm, by the name of its layer.

    Args:
        network: in evaluation mode; a norm with running statistics uses these.
        plan: the plan of the network.
        patches: images (C, X, Y, Z) of the size of the plan's patch.
    """
    norms = norm_modules(network, plan)
    seen: dict[str, list[Tensor]] = {name: [] for name in norms}
    # `recomputing` also keeps a block from fusing its norm with the activation, which a hook on the
    # norm would not notice.
    with recomputing(), _recorded(norms, seen):
        for patch in patches:
            apply_network(network, patch[None], plan.slice_axis)
    return {name: _over_patches(torch.stack(values)) for name, values in seen.items() if values}


@contextmanager
def _recorded(norms: Mapping[str, nn.Module], seen: Mapping[str, list[Tensor]]) -> Iterator[None]:
    """Append mean and mean square of a norm's input and output (2, 2, C) at each call."""
    hooks = [
        norm.register_forward_hook(
            lambda _norm, inputs, output, name=name: seen[name].append(
                torch.stack([patch_moments(inputs[0]), patch_moments(output)])
            )
        )
        for name, norm in norms.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _over_patches(values: Tensor) -> NormMoments:
    """Return the statistics over all patches of values (patches, 2, 2, C)."""
    before, after = (
        Moments(values[:, side, 0], values[:, side, 1]).over_batches(len(values)) for side in (0, 1)
    )
    return NormMoments(before, after)


def shift(reference: Moments, changed: Moments) -> Shift:
    """Return how the channels have changed.

    Channels that do not vary in the reference are left out.

    >>> a = Moments(torch.tensor([[1.0]]), torch.tensor([[2.0]]))  # deviation 1
    >>> b = Moments(torch.tensor([[2.5]]), torch.tensor([[6.5]]))  # deviation 1/2
    >>> shift(a, b)
    Shift(sd_ratio=0.5, mean_shift=1.5, constant_channels=0)
    """
    before, after = deviations(reference), deviations(changed)
    varied = before > 0
    still = varied & (after > 0)
    logs = (after[still] / before[still]).log()
    shifts = (changed.mean[0] - reference.mean[0])[varied] / before[varied]
    return Shift(
        float(logs.mean().exp()) if len(logs) else None,
        float(shifts.square().mean().sqrt()) if len(shifts) else None,
        int((varied & ~still).sum()),
    )


def deviations(moments: Moments) -> Tensor:
    """Return the standard deviation of each channel, 0 if it is constant up to rounding."""
    variance = moments.variance[0]
    return torch.where(variance > ROUNDING * moments.square[0], variance, 0.0).sqrt()


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
