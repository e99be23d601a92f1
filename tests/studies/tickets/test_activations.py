"""What pruning does to the activations on both sides of a norm, with numbers known by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import segkit
from segkit.networks.blocks import ConvBlock
from segkit.plans.plan import LayerPlan, Plan
from segkit.studies.norms.moments import Moments, norm_moments
from segkit.studies.tickets.activations import BothSides, deviations, shift, shift_rows

IMAGES = torch.randn(2, 1, 6, 6, 6, generator=torch.Generator().manual_seed(0))
NORMS = pytest.mark.parametrize("norm", ["group", "batch"])


@pytest.fixture(scope="module")
def plan(phantom: Path) -> Plan:
    return segkit.plan(str(phantom), "network.features=[4,8]", "plan.patch=[16,16,16]")


def both_sides(network: ConvBlock, plan: Plan) -> BothSides:
    """Return the statistics of the network's only norm over IMAGES."""
    found = norm_moments(network, plan, IMAGES, compute=network)
    return {side: {"norm": layers["norm"].over_patches()} for side, layers in found.items()}


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
    reference = both_sides(network, plan)
    with torch.no_grad():
        network.conv.weight.mul_(0.5)
    before, after = shift_rows(reference, both_sides(network, plan))
    assert [before["layer"], before["side"]] == ["norm", "before the norm"]
    assert before["sd_ratio"] == pytest.approx(0.5, rel=1e-5)
    expected = 1.0 if norm == "group" else 0.5
    assert after["sd_ratio"] == pytest.approx(expected, rel=1e-3)  # the norm's eps
    assert after["mean_shift"] == pytest.approx(
        0.0 if norm == "group" else before["mean_shift"], abs=1e-3
    )


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
