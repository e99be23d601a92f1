"""Mean and mean square of the values on both sides of each norm, for every patch and channel.

From these, mean and variance over any pool can be computed: over the patches of a batch (batch
norm), over the channels of a group (group norm), or over a channel of a patch (instance norm).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from segkit.networks.kernels.recompute import recomputing
from segkit.plans.plan import Plan
from segkit.sliding_window.windows import Network, apply_network
from segkit.studies.norms.layers import norm_modules

Side = Literal["before", "after"]
"""Input or output of a norm."""
SIDES: tuple[Side, ...] = ("before", "after")
Seen = dict[Side, dict[str, list[Tensor]]]
"""Statistics (2, C) of every patch so far, by side and by the name of the layer."""


@dataclass(frozen=True)
class Moments:
    """Statistics on one side of one norm, (patches, channels) in float64."""

    mean: Tensor
    square: Tensor
    """Mean of the squared values."""

    def over_batches(self, size: int) -> Moments:
        """Return the statistics of batches of ``size`` patches; patches that are left over go."""
        count = len(self.mean) // size * size
        mean, square = (
            values[:count].reshape(-1, size, values.shape[1]).mean(1)
            for values in (self.mean, self.square)
        )
        return Moments(mean, square)

    def over_patches(self) -> Moments:
        """Return the statistics over all patches, (1, channels)."""
        return self.over_batches(len(self.mean))

    def over_groups(self, groups: int) -> Moments:
        """Return the statistics of ``groups`` groups of neighboring channels."""
        mean, square = (
            values.reshape(len(values), groups, -1).mean(2) for values in (self.mean, self.square)
        )
        return Moments(mean, square)

    @property
    def variance(self) -> Tensor:
        """Variance (pools, channels or groups), never negative."""
        return (self.square - self.mean**2).clamp(min=0)


@torch.no_grad()
def norm_moments(
    network: nn.Module,
    plan: Plan,
    images: Iterable[Tensor],
    *,
    compute: Network,
    sides: Sequence[Side] = SIDES,
) -> dict[Side, dict[str, Moments]]:
    """Return the statistics on the sides of each norm of a network, by the name of its layer.

    Args:
        network: in evaluation mode; a norm with running statistics uses these.
        plan: the plan of the network.
        images: patches (C, X, Y, Z) on the network's device.
        compute: calls ``network`` on a batch, in its memory format.
        sides: which of them to measure.
    """
    norms = norm_modules(network, plan)
    seen: Seen = {side: {name: [] for name in norms} for side in sides}
    # `recomputing` also keeps a block from fusing its norm with the activation, which a hook on the
    # norm would not notice.
    with recomputing(), _recorded(norms, seen):
        for image in images:
            apply_network(compute, image[None], plan.slice_axis)
    return {side: _stacked(values) for side, values in seen.items()}


@contextmanager
def _recorded(norms: Mapping[str, nn.Module], seen: Seen) -> Iterator[None]:
    """Append mean and mean square (2, C) on the sides of a norm whenever it is called."""

    def record(name: str, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        for side, values in seen.items():
            values[name].append(_patch_moments(inputs[0] if side == "before" else output))

    hooks = [
        norm.register_forward_hook(
            lambda _norm, inputs, output, name=name: record(name, inputs, output)
        )
        for name, norm in norms.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _patch_moments(features: Tensor) -> Tensor:
    """Return mean and mean square (2, C) of the features (1, C, X, Y[, Z]) of one patch."""
    values = features[0].flatten(1).double()
    return torch.stack([values.mean(1), (values**2).mean(1)]).cpu()


def _stacked(seen: Mapping[str, Sequence[Tensor]]) -> dict[str, Moments]:
    """Return the statistics of all patches by layer; a layer that was never called is left out."""
    stacked = {name: torch.stack(list(values)) for name, values in seen.items() if values}
    return {name: Moments(values[:, 0], values[:, 1]) for name, values in stacked.items()}
