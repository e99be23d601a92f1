"""Normalization layers: kind and number of groups are read from the plan, never computed."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from segkit.networks.kernels.group_norm import GroupNorm
from segkit.plans.norm_catalogue import NormKind
from segkit.plans.plan import LayerPlan

EPS = 1e-5


def norm_layer(layer: LayerPlan, dims: int) -> nn.Module:
    """Return the norm after a convolution, with a scale and a shift per channel.

    Args:
        layer: kind of norm, channels and groups.
        dims: number of spatial axes, 2 or 3.
    """
    return NORMS[layer.norm](layer, dims)


def _group(layer: LayerPlan, _dims: int) -> nn.Module:
    # Instance norm is one group per channel, layer norm is one group. The numbers are the same, and
    # on a CPU this is several times as fast as nn.InstanceNorm3d.
    return GroupNorm(layer.groups, layer.channels, eps=EPS)


def _batch(layer: LayerPlan, dims: int) -> nn.Module:
    return {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dims](layer.channels, eps=EPS)


def _none(_layer: LayerPlan, _dims: int) -> nn.Module:
    return nn.Identity()


NORMS: dict[NormKind, Callable[[LayerPlan, int], nn.Module]] = {
    "group": _group,
    "batch": _batch,
    "none": _none,
}
"""Builders (layer, dims) by kind of norm."""
