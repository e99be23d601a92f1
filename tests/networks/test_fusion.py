"""Merged layers say what the network says, and only segkit's own networks are changed."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from segkit.networks import build_network
from segkit.networks.fusion import fuse
from segkit.networks.kernels.batch_renorm import BatchRenorm
from segkit.networks.kernels.weight_standardization import StandardizedConv2d, StandardizedConv3d
from segkit.networks.unet import UNet
from segkit.plans.plan import Plan

MakePlan = Callable[..., Plan]

GONE = (nn.BatchNorm2d, nn.BatchNorm3d, BatchRenorm, StandardizedConv2d, StandardizedConv3d)


def trained(plan: Plan, *, mean: float = 0.0) -> nn.Module:
    """Return a network in evaluation mode whose parameters and statistics are random.

    ``mean`` is added to all kernels, so that channels have large means.
    """
    torch.manual_seed(0)
    network = build_network(plan)
    for name, parameter in network.named_parameters():
        if "norm" in name or "shortcut" in name:
            nn.init.normal_(parameter, 0.5)
        elif parameter.ndim > 1:
            parameter.data += mean * parameter.std()
    with torch.no_grad():
        for _ in range(3):
            network(torch.randn(2, 2, *plan.patch[: plan.dims]))
    return network.eval().requires_grad_(False)


@pytest.mark.parametrize("name", ["unet", "residual_unet"])
@pytest.mark.parametrize("norm", ["group", "group_ws", "batch", "batch_renorm", "none"])
@pytest.mark.parametrize("dims", [2, 3])
def test_scores_are_the_same(
    make_plan: MakePlan, residual: Callable[[Plan], Plan], name: str, norm: str, dims: int
) -> None:
    plan = make_plan(norm=norm, dims=dims)
    network = trained(residual(plan) if name == "residual_unet" else plan)
    x = torch.randn(2, 2, *plan.patch[:dims])
    expected = network(x)
    fused = fuse(copy.deepcopy(network))
    # The rounding of all layers adds up.
    tolerance = 0.0 if norm in ("group", "group_ws", "none") else 3e-6
    assert (fused(x) - expected).abs().max() <= tolerance * expected.abs().max()
    assert not any(isinstance(module, GONE) for module in fused.modules())


@pytest.mark.parametrize("norm", ["batch", "batch_renorm"])
def test_a_layer_is_exact(make_plan: MakePlan, norm: str) -> None:
    # In float64: in float32 the rounding depends on the processor (1e-6 with AVX-512, 1.6e-6
    # with AVX2).
    network = trained(make_plan(norm=norm, widths=(16, 32, 64))).double()
    assert isinstance(network, UNet)
    block = network.encoder[2][1]
    x = torch.randn(2, 64, 8, 8, 4, dtype=torch.float64)
    expected = block(x)
    fuse(network)
    assert network.encoder[2][1] is block
    assert 0 < (block(x) - expected).abs().max() <= 1e-12 * expected.abs().max()


@pytest.mark.parametrize("norm", ["batch", "batch_renorm"])
def test_large_means_lose_no_digits_by_fusion(make_plan: MakePlan, norm: str) -> None:
    network = trained(make_plan(norm=norm), mean=3.0)
    x = torch.randn(1, 2, 16, 16, 8) + 5
    exact = copy.deepcopy(network).double()(x.double())
    before = (network(x) - exact).abs().max()
    after = (fuse(copy.deepcopy(network))(x) - exact).abs().max()
    assert after <= 2 * before


def test_a_convolution_keeps_kernel_stride_and_padding(make_plan: MakePlan) -> None:
    network = fuse(trained(make_plan(norm="group_ws")))
    assert isinstance(network, UNet)
    conv = network.encoder[1][0].conv
    assert isinstance(conv, nn.Conv3d)
    assert (conv.kernel_size, conv.stride, conv.padding) == ((3, 3, 3), (2, 2, 1), (1, 1, 1))
    assert conv.bias is None


def test_networks_of_others_stay_as_they_are() -> None:
    network = nn.Sequential(nn.Conv3d(1, 2, 3), nn.BatchNorm3d(2)).eval()
    assert fuse(network) is network
    assert isinstance(network[1], nn.BatchNorm3d)


def test_a_network_in_training_mode_is_refused(make_plan: MakePlan) -> None:
    with pytest.raises(TypeError, match="call its eval"):
        fuse(build_network(make_plan()))
