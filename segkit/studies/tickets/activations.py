"""How pruning shifts the activations before and after each norm.

Pruning shrinks the outputs of a convolution. A norm that computes its statistics from the sample
that it normalizes undoes this; one with stored statistics (BatchNorm) passes it on. Here both sides
of each norm are measured, so that this can be seen rather than believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from segkit.studies.norms.moments import SIDES, Moments, Side

BothSides = Mapping[Side, Mapping[str, Moments]]
"""Statistics over all patches, (1, channels), by side of a norm and by the name of its layer."""

ROUNDING = 1e-12
"""Share of the mean square up to which a variance is rounding."""


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
    reference: BothSides, changed: BothSides
) -> list[dict[str, str | float | int | None]]:
    """Return a row for each layer and side of its norm, from input to output of the network.

    Args:
        reference: statistics over all patches before the change, by side and layer.
        changed: statistics of the same layers after it, on the same patches.
    """
    rows: list[dict[str, str | float | int | None]] = []
    for layer in reference["before"]:
        for side in SIDES:
            change = shift(reference[side][layer], changed[side][layer])
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
