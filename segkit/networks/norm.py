"""Norm layers, as the plan says: kind and number of groups are read, never computed."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from segkit.networks.kernels.group_norm import GroupNorm
from segkit.plans.norm_catalogue import NormKind
from segkit.plans.plan import LayerPlan

EPS = 1e-5


def norm_layer(layer: LayerPlan, dims: int) -> nn.Module:
    """The norm behind a convolution over ``dims`` spatial axes, with a scale and a shift per channel."""
    return NORMS[layer.norm](layer, dims)


def _group(layer: LayerPlan, _dims: int) -> nn.Module:
    # Instance and layer norm come here too, as one group per channel and as one group: the same numbers, and on a CPU
    # several times faster than nn.InstanceNorm3d.
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
