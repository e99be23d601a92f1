"""Properties of all norms: independence of the batch, train = eval, exact accumulation.

BatchNorm and a new batch renormalization, which lack them, are the negative controls.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from segkit.errors import UsageError
from segkit.networks import build_network
from segkit.networks.kernels.batch_renorm import BatchRenorm
from segkit.networks.kernels.weight_standardization import (
    StandardizedConv2d,
    StandardizedConv3d,
    standardized,
)
from segkit.networks.norm import norm_layer
from segkit.planning.network_stages import with_norms
from segkit.planning.norm_groups import groups_for
from segkit.plans.norm_catalogue import NormKind
from segkit.plans.plan import LayerPlan, Plan

MakePlan = Callable[..., Plan]

ALONE = ("group", "instance", "layer", "group_ws", "none")
"""Norms that treat every sample by itself."""
TOGETHER = ("batch", "batch_renorm")
"""Norms whose result depends on the other samples of the batch."""
WIDTHS = (8, 12, 16, 20, 24, 32, 48, 64, 96, 320)


def draw(*shape: int, mean: float = 0.0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1)) + mean


def layer_of(channels: int, groups: int) -> nn.Module:
    return norm_layer(LayerPlan("layer", channels, "group", groups, voxels=64), dims=3)


def plan_of(make_plan: MakePlan, norm: str, dims: int = 3) -> Plan:
    """Return a plan with a norm as network.norm names it."""
    plan = make_plan(deep_supervision=False, dims=dims)
    network = with_norms(
        plan.network,
        lambda layer: groups_for(layer.channels, layer.voxels, layer=layer.name, kind=norm),
    )
    return replace(plan, network=network)


def network_of(make_plan: MakePlan, norm: str, dims: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return build_network(plan_of(make_plan, norm, dims))


def image(size: int, dims: int = 3) -> Tensor:
    return draw(size, 2, *(16, 16, 8)[:dims])


def relaxed(network: nn.Module) -> nn.Module:
    """Return the network with bounds of batch renormalization as late in a training.

    The running statistics are those of a few batches, so that no correction exceeds its bound.
    """
    with torch.no_grad():
        for seed in range(30):
            network(image(4) + 0.1 * seed / 30)
    for module in network.modules():
        if isinstance(module, BatchRenorm):
            module.batches.fill_(1000)
    return network


def one_by_one(network: nn.Module, x: Tensor) -> Tensor:
    return torch.cat([network(sample) for sample in x.split(1)])


@pytest.mark.parametrize("groups", [1, 4, 16], ids=["layer", "group", "instance"])
def test_n1_a_layer_treats_every_sample_alone_to_the_last_bit(groups: int) -> None:
    layer, x = layer_of(16, groups), draw(4, 16, 5, 6, 7)
    assert torch.equal(layer(x), one_by_one(layer, x))


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("norm", ALONE)
def test_n1_a_network_treats_every_sample_alone(make_plan: MakePlan, norm: str, dims: int) -> None:
    # Not to the last bit: another batch may be convolved by another kernel.
    network, x = network_of(make_plan, norm, dims), image(3, dims)
    # In float64 what is left is far below the bound, however large the scores are.
    network, x = network.double(), x.double()
    with torch.no_grad():
        assert (network(x) - one_by_one(network, x)).abs().max() <= 1e-10


@pytest.mark.parametrize("norm", TOGETHER)
def test_n1_batch_statistics_do_not(make_plan: MakePlan, norm: str) -> None:
    network, x = network_of(make_plan, norm), image(3)
    with torch.no_grad():
        assert (network(x) - one_by_one(network, x)).abs().max() > 1e-2


@pytest.mark.parametrize("norm", [*ALONE, *TOGETHER])
def test_n2_training_computes_what_eval_computes(make_plan: MakePlan, norm: str) -> None:
    network, x = network_of(make_plan, norm), image(2)
    with torch.no_grad():
        assert torch.equal(network.train()(x), network.eval()(x)) == (norm in ALONE)


@pytest.mark.parametrize(("norm", "near"), [("batch", False), ("batch_renorm", True)])
def test_n2_late_batch_renormalization_trains_on_what_eval_computes(
    make_plan: MakePlan, norm: str, near: bool
) -> None:
    network, x = relaxed(network_of(make_plan, norm)), image(1)
    with torch.no_grad():
        predicted = copy.deepcopy(network).eval()(x)
        difference = (network.train()(x) - predicted).abs().max() / predicted.abs().max()
    assert difference < 1e-4 if near else difference > 1e-2


def gradient(network: nn.Module, batches: list[Tensor]) -> Tensor:
    """Return the gradients of the mean loss over the batches."""
    network.zero_grad()
    for x in batches:
        (network(x).softmax(1).square().mean() / len(batches)).backward()
    return torch.cat([p.grad.flatten() for p in network.parameters() if p.grad is not None])


@pytest.mark.parametrize("norm", [*ALONE, *TOGETHER])
def test_n3_a_batch_of_four_is_four_accumulated_batches_of_one(
    make_plan: MakePlan, norm: str
) -> None:
    network, x = network_of(make_plan, norm), image(4)
    whole, accumulated = gradient(network, [x]), gradient(network, list(x.split(1)))
    difference = float((whole - accumulated).norm() / whole.norm())
    assert difference <= 1e-4 if norm in ALONE else difference > 1e-2


def test_n3_nor_does_late_batch_renormalization(make_plan: MakePlan) -> None:
    # What it computes no longer depends on the batch, but its gradient still does.
    network, x = relaxed(network_of(make_plan, "batch_renorm")), image(4)
    whole = gradient(copy.deepcopy(network), [x])
    accumulated = gradient(copy.deepcopy(network), list(x.split(1)))
    assert float((whole - accumulated).norm() / whole.norm()) > 1e-2


@pytest.mark.parametrize("kind", ["group", "group_ws"])
def test_n4_one_voxel_bottleneck_still_sees_its_input(kind: str) -> None:
    norm, groups = groups_for(128, 1, layer="bottleneck", kind=kind)
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


@pytest.mark.parametrize("norm", TOGETHER)
def test_n4_batch_statistics_of_one_value_are_refused_in_training(norm: NormKind) -> None:
    layer = norm_layer(LayerPlan("bottleneck", 128, norm, 0, voxels=1), dims=3)
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        layer(draw(1, 128, 1, 1, 1))


@pytest.mark.parametrize("channels", WIDTHS)
@pytest.mark.parametrize("voxels", [27, 64, 89_600])
@pytest.mark.parametrize("kind", ["group", "group_ws"])
def test_n5_the_rule_gives_neither_one_group_nor_one_per_channel(
    channels: int, voxels: int, kind: str
) -> None:
    norm, groups = groups_for(channels, voxels, layer="layer", kind=kind)
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


@pytest.mark.parametrize("norm", TOGETHER)
@pytest.mark.parametrize(("mean", "tolerance"), [(0.0, 1e-5), (100.0, 5e-5)])
def test_n6_batch_statistics_in_float32_agree_with_double_precision(
    norm: NormKind, mean: float, tolerance: float
) -> None:
    x = draw(2, 16, 10, 14, 10, mean=mean)
    layer = norm_layer(LayerPlan("layer", 16, norm, 0, voxels=1400), dims=3)
    channels = x.double().transpose(0, 1).flatten(1)
    var, average = torch.var_mean(channels, 1, correction=0)
    expected = (channels - average[:, None]) / (var[:, None] + 1e-5).sqrt()
    assert (layer(x).transpose(0, 1).flatten(1) - expected).abs().max() <= tolerance


@pytest.mark.parametrize("kind", ["group", "instance", "layer", *TOGETHER])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last_3d])
def test_n6_statistics_of_bfloat16_values_are_not_bfloat16(
    kind: str, memory_format: torch.memory_format
) -> None:
    # Squares near 10,000 with a spread of 1 would leave nothing of the variance.
    x = draw(2, 16, 10, 14, 10, mean=100.0).bfloat16().contiguous(memory_format=memory_format)
    norm, groups = groups_for(16, 1400, layer="layer", kind=kind)
    layer = norm_layer(LayerPlan("layer", 16, norm, groups, voxels=1400), dims=3)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x).double()
    expected = copy.deepcopy(layer).double()(x.double())
    assert (found - expected).abs().max() <= 0.03
    assert (found - expected).abs().mean() <= 0.005


@pytest.mark.parametrize("dims", [2, 3])
def test_n6_standardized_kernels_are_plain_ones_with_other_weights(
    make_plan: MakePlan, dims: int
) -> None:
    plain = network_of(make_plan, "group", dims)
    network = network_of(make_plan, "group_ws", dims)
    weights = {
        name: standardized(value) if name in standardized_kernels(network) else value
        for name, value in network.state_dict().items()
    }
    x = image(2, dims)
    before = plain(x)
    plain.load_state_dict(weights)
    assert torch.equal(plain(x), network(x))
    assert not torch.equal(before, network(x))


def standardized_kernels(network: nn.Module) -> list[str]:
    kinds = (StandardizedConv2d, StandardizedConv3d)
    return [f"{name}.weight" for name, part in network.named_modules() if isinstance(part, kinds)]


def test_norms_of_a_network_stand_behind_convolutions_only(make_plan: MakePlan) -> None:
    # A norm on the raw input would standardize every window by itself, and cause seams.
    plan = make_plan()
    network = build_network(replace(plan, channels=plan.channels[:1]))
    first = next(module for module in network.modules() if not list(module.children()))
    assert isinstance(first, nn.Conv3d)
    assert isinstance(network.head, nn.Conv3d)
