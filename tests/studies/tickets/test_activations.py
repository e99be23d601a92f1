"""What pruning does to the activations on both sides of a norm, with numbers known by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import segkit
from segkit.networks import build_network
from segkit.networks.blocks import ConvBlock
from segkit.plans.plan import LayerPlan, Plan
from segkit.studies.normalization.layer_statistics import Moments
from segkit.studies.tickets.activations import deviations, norm_moments, shift, shift_rows

IMAGES = torch.randn(2, 1, 6, 6, 6, generator=torch.Generator().manual_seed(0))
NORMS = pytest.mark.parametrize("norm", ["group", "batch"])


@pytest.fixture(scope="module")
def plan(phantom: Path) -> Plan:
    return segkit.plan(str(phantom), "network.features=[4,8]", "plan.patch=[16,16,16]")


def block(norm: str) -> ConvBlock:
    """Convolution, norm and activation; a batch norm has stored the statistics of IMAGES."""
    torch.manual_seed(0)
    layer = LayerPlan("conv", 4, norm, 2 if norm == "group" else 0, 216)  # type: ignore[arg-type]
    network = ConvBlock(1, layer, kernel=[3] * 3, stride=[1] * 3, activation="leaky_relu")
    if norm == "batch":
        network.norm.momentum = None
        network.train()(IMAGES)
    return network.eval()


def moments(values: list[list[float]]) -> Moments:
    """Return the moments of the channels with these values."""
    channels = torch.tensor(values, dtype=torch.float64)
    return Moments(channels.mean(1)[None], channels.square().mean(1)[None])


@NORMS
def test_half_the_kernel_is_undone_by_the_groups_only(plan: Plan, norm: str) -> None:
    network = block(norm)
    reference = norm_moments(network, plan, list(IMAGES))
    with torch.no_grad():
        network.conv.weight.mul_(0.5)
    before, after = shift_rows(reference, norm_moments(network, plan, list(IMAGES)))
    assert [before["layer"], before["side"]] == ["norm", "before the norm"]
    assert before["sd_ratio"] == pytest.approx(0.5, rel=1e-5)
    expected = 1.0 if norm == "group" else 0.5
    assert after["sd_ratio"] == pytest.approx(expected, rel=1e-3)  # the norm's eps
    assert after["mean_shift"] == pytest.approx(
        0.0 if norm == "group" else before["mean_shift"], abs=1e-3
    )


@NORMS
def test_moments_of_a_layer_are_those_of_its_tensors(plan: Plan, norm: str) -> None:
    network = block(norm)
    found = norm_moments(network, plan, list(IMAGES))["norm"]
    with torch.inference_mode():
        x = torch.cat([network.conv(image[None]) for image in IMAGES])
        y = torch.cat([network.norm(part[None]) for part in x])
    for measured, tensor in ((found.before, x), (found.after, y)):
        channels = tensor.double().movedim(1, 0).flatten(1)
        torch.testing.assert_close(measured.mean[0], channels.mean(1))
        torch.testing.assert_close(deviations(measured), channels.std(1, correction=0))


def test_channels_that_do_not_vary_are_counted() -> None:
    reference = moments([[0.0, 2.0], [0.0, 4.0], [5.0, 5.0]])
    changed = moments([[1.0, 2.0], [7.0, 7.0], [0.0, 1.0]])
    found = shift(reference, changed)
    assert found.constant_channels == 1  # the second; the third never varied
    assert found.sd_ratio == pytest.approx(0.5)
    assert found.mean_shift == pytest.approx(((0.5**2 + 2.5**2) / 2) ** 0.5)


def test_nothing_is_said_about_a_layer_that_never_varied() -> None:
    found = shift(moments([[1.0, 1.0]]), moments([[0.0, 1.0]]))
    assert (found.sd_ratio, found.mean_shift) == (None, None)


def test_large_constant_channels_have_no_spread() -> None:
    assert float(deviations(moments([[1000.1] * 1000]))) == 0


@pytest.mark.parametrize("network", ["unet", "residual_unet"])
def test_every_norm_of_a_network_is_measured_once(phantom: Path, network: str) -> None:
    stages = "network.features=[4,8,8]"
    plan = segkit.plan(
        str(phantom), f"network={network}", stages, "plan.patch=[16,16,16]", "network.norm=instance"
    )
    torch.manual_seed(0)
    built = build_network(plan).eval()
    found = norm_moments(built, plan, [torch.randn(1, 16, 16, 16)])
    assert list(found) == [layer.name for layer in plan.network.layers]
    for layer in plan.network.layers:
        assert found[layer.name].before.mean.shape == (1, layer.channels)
        # Instance norm: mean 0 and deviation 1, up to its eps, before the first step.
        assert found[layer.name].after.mean.abs().max() < 1e-5
    assert not any(module._forward_hooks for module in built.modules())
