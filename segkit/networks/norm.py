"""Normalization layers: kind and number of groups are read from the plan, never computed."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from segkit.networks.kernels.batch_renorm import BatchRenorm
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


def _batch_renorm(layer: LayerPlan, _dims: int) -> nn.Module:
    return BatchRenorm(layer.channels, eps=EPS)


def _none(_layer: LayerPlan, _dims: int) -> nn.Module:
    return nn.Identity()


NORMS: dict[NormKind, Callable[[LayerPlan, int], nn.Module]] = {
    "group": _group,
    "group_ws": _group,  # the convolution before it differs
    "batch": _batch,
    "batch_renorm": _batch_renorm,
    "none": _none,
}
"""Builders (layer, dims) by kind of norm."""

BatchStatisticsNorm = _BatchNorm | BatchRenorm
"""Norms that train with the statistics of the batch and predict with running ones."""


def scale_and_shift(norm: BatchStatisticsNorm) -> tuple[Tensor, Tensor]:
    """Return scale and shift (C,) in float64: in prediction the norm is ``scale * x + shift``.

    Raises:
        TypeError: a norm without running statistics or without weights.
    """
    mean, std = norm.running_mean, _running_std(norm)
    if mean is None or std is None:
        raise TypeError("a batch norm without running statistics")
    scale = norm.weight.double() / std
    return scale, norm.bias.double() - mean.double() * scale


def _running_std(norm: BatchStatisticsNorm) -> Tensor | None:
    if isinstance(norm, BatchRenorm):
        return norm.running_std.double()
    return None if norm.running_var is None else (norm.running_var.double() + norm.eps).sqrt()
