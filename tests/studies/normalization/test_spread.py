"""Statistics before each norm, over batches and groups, and their spread."""

from __future__ import annotations

import pytest
import torch

from segkit.networks import build_network
from segkit.plans.plan import Plan
from segkit.studies.normalization.layer_statistics import Moments, layer_moments
from segkit.studies.normalization.layers import layer_kernels, norm_modules
from segkit.studies.normalization.spread import spread, spread_measurements
from segkit.studies.normalization.trained_cell import TrainedCell


def test_moments_over_batches_and_groups() -> None:
    # Channel 0 has the values 1, 3 in patch 0 and 5, 7 in patch 1; channel 1 has 0, 0 and 2, 2.
    moments = Moments(
        torch.tensor([[2.0, 0], [6, 2]]).double(), torch.tensor([[5.0, 0], [37, 4]]).double()
    )
    assert moments.variance.tolist() == [[1, 0], [1, 0]]
    batch = moments.over_batches(2)
    assert batch.mean.tolist() == [[4, 1]]
    assert batch.variance.tolist() == [[5, 1]]  # of 1, 3, 5, 7 and of 0, 0, 2, 2
    group = moments.over_groups(1)
    assert group.mean.tolist() == [[1], [4]]
    assert group.variance.tolist() == [[1.5], [4.5]]  # of 1, 3, 0, 0 and of 5, 7, 2, 2


def test_patches_that_fill_no_batch_are_left_out() -> None:
    moments = Moments(torch.arange(5.0).reshape(5, 1), torch.zeros(5, 1))
    assert moments.over_batches(2).mean.flatten().tolist() == [0.5, 2.5]


def test_constant_channels_and_single_pools_have_no_spread() -> None:
    assert spread(Moments(torch.ones(3, 2), torch.ones(3, 2))) is None
    assert spread(Moments(torch.ones(1, 2), 2 * torch.ones(1, 2))) is None


def test_batch_statistics_are_those_of_batch_norm(batch_cell: TrainedCell) -> None:
    network, plan = build_network(batch_cell.plan), batch_cell.plan
    images = [batch_cell.patches(batch_cell.cases)[number]["image"] for number in range(2)]
    moments = layer_moments(network.eval(), plan, images, compute=network)
    first = next(layer.name for layer in plan.network.layers)
    norm = norm_modules(network, plan)[first]
    norm.momentum = 1.0  # type: ignore[assignment]
    network.train()(torch.stack(images))
    assert isinstance(norm.running_var, torch.Tensor)
    batch, values = moments[first].over_batches(2), 2 * 8 * 16 * 16
    assert torch.allclose(batch.mean[0].float(), norm.running_mean, atol=1e-5)  # type: ignore[arg-type]
    unbiased = batch.variance[0].float() * values / (values - 1)
    assert torch.allclose(unbiased, norm.running_var, rtol=1e-4)


def test_every_layer_has_pools_and_spread(group_cell: TrainedCell) -> None:
    plan, count = group_cell.plan, 4
    patches = group_cell.patches(group_cell.cases)
    layers = layer_moments(
        group_cell.network,
        plan,
        [patches[number]["image"] for number in range(count)],
        compute=group_cell.network,
    )
    found = list(spread_measurements(layers, plan, (1, 2)))
    assert set(layers) == {layer.name for layer in plan.network.layers}
    for layer in plan.network.layers:
        pools = {m.batch: m.value for m in found if m.layer == layer.name and m.measure == "pool"}
        per_group = layer.channels // layer.groups
        assert pools == {1: layer.voxels, 2: 2 * layer.voxels, None: per_group * layer.voxels}
        spreads = [m for m in found if m.layer == layer.name and m.measure == "spread_mean"]
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


def test_kernels_have_the_names_of_their_layers(plan_for_balls: Plan) -> None:
    network = build_network(plan_for_balls)
    names = [layer.name for layer in plan_for_balls.network.layers]
    kernels = layer_kernels(network, plan_for_balls)
    assert list(kernels) == names == list(norm_modules(network, plan_for_balls))
    widths = [layer.channels for layer in plan_for_balls.network.layers]
    assert [len(kernel) for kernel in kernels.values()] == widths
