"""Spread of the statistics before each norm, over batches and groups."""

from __future__ import annotations

import pytest
import torch

from segkit.studies.normalization.spread import spread, spread_measurements
from segkit.studies.normalization.trained_cell import TrainedCell
from segkit.studies.norms.moments import Moments, norm_moments


def test_constant_channels_and_single_pools_have_no_spread() -> None:
    assert spread(Moments(torch.ones(3, 2), torch.ones(3, 2))) is None
    assert spread(Moments(torch.ones(1, 2), 2 * torch.ones(1, 2))) is None


def test_every_layer_has_pools_and_spread(group_cell: TrainedCell) -> None:
    plan, count = group_cell.plan, 4
    patches = group_cell.patches(group_cell.cases)
    images = [patches[number]["image"] for number in range(count)]
    found = norm_moments(group_cell.network, plan, images, compute=group_cell.network)
    layers = found["before"]
    rows = list(spread_measurements(layers, plan, (1, 2)))
    assert set(layers) == {layer.name for layer in plan.network.layers}
    for layer in plan.network.layers:
        pools = {m.batch: m.value for m in rows if m.layer == layer.name and m.measure == "pool"}
        per_group = layer.channels // layer.groups
        assert pools == {1: layer.voxels, 2: 2 * layer.voxels, None: per_group * layer.voxels}
        spreads = [m for m in rows if m.layer == layer.name and m.measure == "spread_mean"]
        assert [m.batch for m in spreads] == [1, 2, None]
        assert all(m.value > 0 for m in spreads)


def test_larger_batches_have_less_spread() -> None:
    torch.manual_seed(0)
    mean = torch.randn(4000, 8).double()
    moments = Moments(mean, mean**2 + 1)
    of_one, of_four = spread(moments), spread(moments.over_batches(4))
    assert of_one
    assert of_four
    assert of_one[0] == pytest.approx(1.0, rel=0.05)
    # The variance within a batch of four is 1 + 3/4, the variance of its mean 1/4.
    assert of_four[0] == pytest.approx((0.25 / 1.75) ** 0.5, rel=0.05)
