"""Properties of GroupNorm: independence of the batch, train = eval, exact accumulation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.networks import build_network
from segkit.networks.norm import norm_layer
from segkit.planning.norm_groups import groups_for
from segkit.plans.plan import LayerPlan, Plan

MakePlan = Callable[..., Plan]

WIDTHS = (8, 12, 16, 20, 24, 32, 48, 64, 96, 320)


def draw(*shape: int, mean: float = 0.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)) + mean


def layer_of(channels: int, groups: int) -> nn.Module:
    return norm_layer(LayerPlan("layer", channels, "group", groups, voxels=64), dims=3)


def network_of(make_plan: MakePlan, norm: str, **options: int) -> nn.Module:
    torch.manual_seed(0)
    return build_network(make_plan(norm=norm, deep_supervision=False, **options))


def one_by_one(network: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([network(sample) for sample in x.split(1)])


@pytest.mark.parametrize("groups", [1, 4, 16], ids=["layer", "group", "instance"])
def test_n1_a_layer_treats_every_sample_alone_to_the_last_bit(groups: int) -> None:
    layer, x = layer_of(16, groups), draw(4, 16, 5, 6, 7)
    assert torch.equal(layer(x), one_by_one(layer, x))


@pytest.mark.parametrize("per_group", [1, 2, 4])
def test_n1_a_network_treats_every_sample_alone(make_plan: MakePlan, per_group: int) -> None:
    # Not to the last bit: another batch may be convolved by another kernel.
    network, x = network_of(make_plan, "group", per_group=per_group), draw(3, 2, 16, 16, 8)
    # In float64 what is left is far below the bound, however large the scores are.
    network, x = network.double(), x.double()
    with torch.no_grad():
        assert (network(x) - one_by_one(network, x)).abs().max() <= 1e-10


def test_n1_batch_norm_does_not(make_plan: MakePlan) -> None:
    network, x = network_of(make_plan, "batch"), draw(3, 2, 16, 16, 8)
    with torch.no_grad():
        assert (network(x) - one_by_one(network, x)).abs().max() > 1e-2


@pytest.mark.parametrize(("norm", "equal"), [("group", True), ("none", True), ("batch", False)])
def test_n2_training_computes_what_eval_computes(
    make_plan: MakePlan, norm: str, equal: bool
) -> None:
    network, x = network_of(make_plan, norm), draw(2, 2, 16, 16, 8)
    with torch.no_grad():
        assert torch.equal(network.train()(x), network.eval()(x)) == equal


def gradient(network: nn.Module, batches: list[Tensor]) -> Tensor:
    """Return the gradients of the mean loss over the batches."""
    network.zero_grad()
    for x in batches:
        (network(x).softmax(1).square().mean() / len(batches)).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


@pytest.mark.parametrize(("norm", "exact"), [("group", True), ("batch", False)])
def test_n3_a_batch_of_four_is_four_accumulated_batches_of_one(
    make_plan: MakePlan, norm: str, exact: bool
) -> None:
    network, x = network_of(make_plan, norm), draw(4, 2, 16, 16, 8)
    whole, accumulated = gradient(network, [x]), gradient(network, list(x.split(1)))
    difference = float((whole - accumulated).norm() / whole.norm())
    assert difference <= 1e-4 if exact else difference > 1e-2


def test_n4_one_voxel_bottleneck_still_sees_its_input() -> None:
    norm, groups = groups_for(128, 1, layer="bottleneck")
    layer = norm_layer(LayerPlan("bottleneck", 128, norm, groups, voxels=1), dims=3)
    assert layer(draw(1, 128, 1, 1, 1)).std() > 0.5


def test_n4_one_group_per_channel_would_not() -> None:
    # The trap: from two samples on there is no error, and the output is the bias whatever comes in.
    assert layer_of(128, 128)(draw(2, 128, 1, 1, 1)).abs().max() < 1e-4


def test_n4_so_it_is_refused_when_planning() -> None:
    with pytest.raises(UsageError, match="Layer bottleneck: instance norm needs at least 2 voxels"):
        groups_for(128, 1, layer="bottleneck", kind="instance")
    with pytest.raises(
        UsageError, match="Layer bottleneck: 64 channels at 1 voxels cannot be split"
    ):
        groups_for(64, 1, layer="bottleneck")


def test_n4_batch_norm_of_one_value_is_refused_in_training() -> None:
    layer = norm_layer(LayerPlan("bottleneck", 128, "batch", 0, voxels=1), dims=3)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        layer(draw(1, 128, 1, 1, 1))


@pytest.mark.parametrize("channels", WIDTHS)
@pytest.mark.parametrize("voxels", [27, 64, 89_600])
def test_n5_the_rule_gives_neither_one_group_nor_one_per_channel(
    channels: int, voxels: int
) -> None:
    norm, groups = groups_for(channels, voxels, layer="layer")
    layer = norm_layer(LayerPlan("layer", channels, norm, groups, voxels), dims=3)
    assert isinstance(layer, nn.GroupNorm)
    assert (layer.num_groups, layer.num_channels) == (groups, channels)
    assert 1 < groups < channels
    assert channels // groups * voxels >= 64


@pytest.mark.parametrize("channels", WIDTHS)
def test_n5_requested_groups_are_built_or_refused(channels: int) -> None:
    for requested in range(1, channels + 1):
        if channels % requested:
            with pytest.raises(UsageError, match="does not divide"):
                groups_for(channels, 1000, layer="layer", num_groups=requested)
            continue
        norm, groups = groups_for(channels, 1000, layer="layer", num_groups=requested)
        built = norm_layer(LayerPlan("layer", channels, norm, groups, 1000), dims=3)
        assert isinstance(built, nn.GroupNorm)
        assert built.num_groups == requested
        assert (
            groups_for(channels, 1000, layer="layer", per_group=requested)[1] * requested
            == channels
        )


def test_n6_one_group_is_layer_norm_and_one_per_channel_is_instance_norm() -> None:
    x = draw(2, 16, 5, 6, 7)
    torch.testing.assert_close(
        layer_of(16, 1)(x), functional.layer_norm(x, x.shape[1:]), rtol=0, atol=1e-5
    )
    torch.testing.assert_close(layer_of(16, 16)(x), functional.instance_norm(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("mean", "tolerance"), [(0.0, 1e-5), (100.0, 5e-5)])
def test_n6_float32_agrees_with_double_precision(mean: float, tolerance: float) -> None:
    x = draw(2, 16, 10, 14, 10, mean=mean)
    grouped = x.double().reshape(2, 4, -1)
    centred = grouped - grouped.mean(-1, keepdim=True)
    expected = (centred / (centred.square().mean(-1, keepdim=True) + 1e-5).sqrt()).reshape(x.shape)
    assert (layer_of(16, 4)(x) - expected).abs().max() <= tolerance


def test_norms_of_a_network_stand_behind_convolutions_only(make_plan: MakePlan) -> None:
    # A norm on the raw input would standardize every window by itself, and cause seams.
    plan = make_plan()
    network = build_network(replace(plan, channels=plan.channels[:1]))
    first = next(module for module in network.modules() if not list(module.children()))
    assert isinstance(first, nn.Conv3d)
    assert isinstance(network.head, nn.Conv3d)
