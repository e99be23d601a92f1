"""Statistics on both sides of each norm, over batches, groups and patches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import segkit
from segkit.networks import build_network
from segkit.networks.blocks import ConvBlock
from segkit.plans.plan import LayerPlan, Plan
from segkit.studies.norms.layers import norm_modules
from segkit.studies.norms.moments import Moments, norm_moments


def plan_of(phantom: Path, *words: str) -> Plan:
    return segkit.plan(str(phantom), "network.features=[4,8]", "plan.patch=[16,16,16]", *words)


def test_moments_over_batches_groups_and_patches() -> None:
    # Channel 0 has the values 1, 3 in patch 0 and 5, 7 in patch 1; channel 1 has 0, 0 and 2, 2.
    moments = Moments(
        torch.tensor([[2.0, 0], [6, 2]]).double(), torch.tensor([[5.0, 0], [37, 4]]).double()
    )
    assert moments.variance.tolist() == [[1, 0], [1, 0]]
    for batch in (moments.over_batches(2), moments.over_patches()):
        assert batch.mean.tolist() == [[4, 1]]
        assert batch.variance.tolist() == [[5, 1]]  # of 1, 3, 5, 7 and of 0, 0, 2, 2
    group = moments.over_groups(1)
    assert group.mean.tolist() == [[1], [4]]
    assert group.variance.tolist() == [[1.5], [4.5]]  # of 1, 3, 0, 0 and of 5, 7, 2, 2


def test_patches_that_fill_no_batch_are_left_out() -> None:
    moments = Moments(torch.arange(5.0).reshape(5, 1), torch.zeros(5, 1))
    assert moments.over_batches(2).mean.flatten().tolist() == [0.5, 2.5]


def test_batch_statistics_are_those_of_batch_norm(phantom: Path) -> None:
    plan = plan_of(phantom, "network.norm=batch")
    torch.manual_seed(0)
    network, images = build_network(plan), torch.randn(2, 1, 16, 16, 16)
    moments = norm_moments(network.eval(), plan, images, compute=network, sides=("before",))
    assert list(moments) == ["before"]
    first = next(layer.name for layer in plan.network.layers)
    norm = norm_modules(network, plan)[first]
    norm.momentum = 1.0  # type: ignore[assignment]
    network.train()(images)
    assert isinstance(norm.running_var, torch.Tensor)
    batch, values = moments["before"][first].over_batches(2), 2 * 16**3
    assert torch.allclose(batch.mean[0].float(), norm.running_mean, atol=1e-5)  # type: ignore[arg-type]
    unbiased = batch.variance[0].float() * values / (values - 1)
    assert torch.allclose(unbiased, norm.running_var, rtol=1e-4)


@pytest.mark.parametrize("norm", ["group", "batch"])
def test_moments_of_a_layer_are_those_of_its_tensors(phantom: Path, norm: str) -> None:
    torch.manual_seed(0)
    images = torch.randn(2, 1, 6, 6, 6)
    layer = LayerPlan("conv", 4, norm, 2 if norm == "group" else 0, 216)  # type: ignore[arg-type]
    block = ConvBlock(1, layer, kernel=[3] * 3, stride=[1] * 3, activation="leaky_relu").eval()
    found = norm_moments(block, plan_of(phantom), images, compute=block)
    with torch.inference_mode():
        x = torch.cat([block.conv(image[None]) for image in images])
        y = torch.cat([block.norm(part[None]) for part in x])
    for measured, tensor in ((found["before"], x), (found["after"], y)):
        channels, moments = tensor.double().transpose(0, 1).flatten(1), measured["norm"]
        torch.testing.assert_close(moments.over_patches().mean[0], channels.mean(1))
        variance = channels.var(1, correction=0)
        torch.testing.assert_close(moments.over_patches().variance[0], variance)


@pytest.mark.parametrize("network", ["unet", "residual_unet"])
def test_every_norm_of_a_network_is_measured_once(phantom: Path, network: str) -> None:
    words = (f"network={network}", "network.features=[4,8,8]", "network.norm=instance")
    plan = segkit.plan(str(phantom), "plan.patch=[16,16,16]", *words)
    torch.manual_seed(0)
    built = build_network(plan).eval()
    found = norm_moments(built, plan, [torch.randn(1, 16, 16, 16)], compute=built)
    assert list(found["before"]) == [layer.name for layer in plan.network.layers]
    for layer in plan.network.layers:
        assert found["before"][layer.name].mean.shape == (1, layer.channels)
        # Instance norm: mean 0 and deviation 1, up to its eps, before the first step.
        assert found["after"][layer.name].mean.abs().max() < 1e-5
    assert not any(module._forward_hooks for module in built.modules())
