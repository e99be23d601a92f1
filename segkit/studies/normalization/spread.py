"""Spread of the statistics that a norm computes: how much they differ from pool to pool.

Batch norm computes a mean and a variance of every channel over the patches of a batch. If they
differ much between batches, the same patch is normalized differently each time it is seen. The
essay on group norm expects that at the bottleneck, where a channel has few values. Group norm
computes them over a group of channels of one patch; they differ between patches, but not with the
company in which a patch is seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor

from segkit.plans.plan import LayerPlan, Plan
from segkit.studies.normalization.measurement import Measurement
from segkit.studies.normalization.trained_cell import TrainedCell
from segkit.studies.norms.moments import Moments, norm_moments

BATCH_SIZES = (1, 2, 4, 8)
"""Batch sizes for which the spread of batch statistics is usually computed."""
PATCHES = 64
"""Number of patches from which the spread is usually computed."""


def spread(moments: Moments) -> tuple[float, float] | None:
    """Return the spread of the mean and of the standard deviation over pools.

    The spread of the mean is its standard deviation over the pools, divided by the root of the mean
    variance within them. The spread of the standard deviation is its standard deviation over the
    pools, divided by its mean. Both are the median over channels or groups whose values vary; the
    result is None if there are none, or fewer than two pools.

    >>> import torch
    >>> mean = torch.tensor([[0.0], [2.0]])  # of two pools, whose variances are 1 and 9
    >>> spread(Moments(mean, torch.tensor([[1.0], [13.0]])))  # sqrt(2) / sqrt(5), sqrt(2) / 2
    (0.632..., 0.707...)
    """
    deviation = moments.variance.sqrt()
    varying = (deviation > 0).all(0)
    if len(deviation) < 2 or not varying.any():
        return None
    mean, deviation = moments.mean[:, varying], deviation[:, varying]
    of_mean = mean.std(0) / (deviation**2).mean(0).sqrt()
    of_deviation = deviation.std(0) / deviation.mean(0)
    return _median(of_mean), _median(of_deviation)


def cell_spread(
    cell: TrainedCell, *, batch_sizes: Sequence[int], patches: int
) -> Iterator[Measurement]:
    """Yield the `spread_measurements` of a trained network, on patches of its validation cases.

    The patches are drawn as in a training, without augmentation.

    Args:
        cell: network and cases.
        batch_sizes: sizes of batches.
        patches: number of patches.
    """
    drawn = cell.patches(cell.cases)
    images = (drawn[number]["image"].to(cell.device) for number in range(patches))
    with cell.mode.autocast(cell.device):
        found = norm_moments(
            cell.network,
            cell.plan,
            images,
            compute=cell.mode.wrap(cell.network),
            sides=("before",),
        )
    yield from spread_measurements(found["before"], cell.plan, batch_sizes)


def spread_measurements(
    layers: Mapping[str, Moments], plan: Plan, batch_sizes: Sequence[int]
) -> Iterator[Measurement]:
    """Yield size of the pools and spread of the statistics for every layer.

    With ``batch`` set they are those of batch norm, between batches of that many patches; without
    it, those of the layer's own groups, between patches.

    Args:
        layers: statistics by the name of the layer, in the order of the layers.
        plan: the plan, for groups and voxels.
        batch_sizes: sizes of batches.
    """
    planned = {layer.name: layer for layer in plan.network.layers}
    for name, moments in layers.items():
        layer = planned.get(name)
        for size in batch_sizes:
            if layer:
                yield Measurement("pool", size * layer.voxels, layer=name, batch=size)
            yield from _spread_of(moments.over_batches(size), name, batch=size)
        if layer and layer.groups:
            yield Measurement("pool", _group_pool(layer), layer=name)
            yield from _spread_of(moments.over_groups(layer.groups), name)


def _spread_of(moments: Moments, layer: str, batch: int | None = None) -> Iterator[Measurement]:
    found = spread(moments)
    for name, value in zip(("spread_mean", "spread_sd"), found or (), strict=False):
        yield Measurement(name, value, layer=layer, batch=batch)


def _group_pool(layer: LayerPlan) -> int:
    return layer.channels // layer.groups * layer.voxels


def _median(values: Tensor) -> float:
    """Return the median, the mean of the two middle values of an even number."""
    return float(values.quantile(0.5))
