"""How many labels depend on where the windows lie (N7), by norm, overlap and size of the window."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from segkit.config.schema import NetworkConfig
from segkit.networks import build_network
from segkit.networks.unet import UNet
from segkit.planning.network_stages import build_stages
from segkit.planning.topology import Topology
from segkit.plans.plan import Plan
from segkit.sliding_window.rows import Windows
from segkit.sliding_window.scores import predict_scores
from segkit.sliding_window.windows import window_starts
from segkit.studies.normalization.tiling import changed, padded, trimmed
from segkit.studies.norms.layers import norm_modules

INTERIOR = [slice(border + 8 - 24, border + 16 - 24) for border in (24, 48, 72, 96)]
"""Voxels along X, from 24 on, that no border of a window of 48 influences.

Without overlap, windows over 144 voxels begin at 0, 48 and 96, and after the shift at 24 and 72.
The network below computes a voxel from others up to 8 away: 2 by the convolutions of the decoder, 1
by upsampling, 3 by those at half the resolution, and 2 by those of the encoder.
"""


def network(plan: Plan, norm: str) -> UNet:
    """Return a random U-Net of two stages; batch norm has the statistics of one forward pass."""
    topology = Topology((16, 8, 8), ((3, 3, 3),) * 2, ((1, 1, 1), (2, 2, 2)))
    stages = build_stages(topology, [8, 16], inputs=1, config=NetworkConfig(norm=norm))
    torch.manual_seed(0)
    built = build_network(dataclasses.replace(plan, patch=(16, 8, 8), network=stages))
    for module in norm_modules(built, plan).values():
        module.momentum = 1.0  # type: ignore[assignment]
    built(image()[None])
    assert isinstance(built, UNet)
    return built.eval()


def image(last: float = 2.0) -> Tensor:
    """Return noise (1, 144, 8, 8) whose mean and contrast rise from 0.5 to ``last`` along X."""
    ramp = torch.linspace(0.5, last, 144).reshape(1, 144, 1, 1)
    return ramp * (torch.randn(1, 144, 8, 8, generator=torch.Generator().manual_seed(1)) + ramp)


@torch.inference_mode()
def where_labels_change(
    net: UNet, overlap: float, edge: int = 48, scan: Tensor | None = None
) -> Tensor:
    windows = Windows((edge, 8, 8), overlap)
    whole, inside = padded(image() if scan is None else scan, windows)
    part, place = trimmed(whole, windows, (2, 2, 2))
    assert part is not None
    assert place is not None
    first, second = (
        predict_scores(net, each, windows).argmax(0, keepdim=True) for each in (whole, part)
    )
    return changed(first, second, place, inside)[0]


def share(net: UNet, overlap: float, edge: int = 48, scan: Tensor | None = None) -> float:
    return float(where_labels_change(net, overlap, edge, scan).double().mean())


def test_batch_norm_agrees_where_no_border_of_a_window_is_in_reach(plan_for_balls: Plan) -> None:
    differ = where_labels_change(network(plan_for_balls, "batch"), 0.0)
    assert differ.any()  # near the borders, by the zeros of the padding
    assert not any(differ[part].any() for part in INTERIOR)


@pytest.mark.parametrize("norm", ["group", "instance", "layer"])
def test_norms_by_window_disagree_even_there(plan_for_balls: Plan, norm: str) -> None:
    differ = where_labels_change(network(plan_for_balls, norm), 0.0)
    assert all(differ[part].any() for part in INTERIOR)


@pytest.mark.parametrize("norm", ["group", "instance", "layer"])
def test_mismatch_falls_with_overlap_and_with_larger_windows(
    plan_for_balls: Plan, norm: str
) -> None:
    net = network(plan_for_balls, norm)
    assert share(net, 0.0) > share(net, 0.5) > 0
    # Where the scan is alike everywhere; else a larger window may also see more of what differs.
    alike = image(last=0.5)
    assert share(net, 0.0, edge=24, scan=alike) > share(net, 0.0, edge=48, scan=alike)


def test_one_window_has_no_shift() -> None:
    assert trimmed(torch.zeros(1, 16, 8, 8), Windows((16, 8, 8), 0.5), (2, 2, 2)) == (None, None)


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("size", range(40, 200, 7))
def test_windows_lie_elsewhere_and_need_no_padding(size: int, overlap: float) -> None:
    windows = Windows((32, 8, 8), overlap)
    whole, _ = padded(torch.zeros(1, size, 8, 8), windows)
    part, place = trimmed(whole, windows, (2, 2, 2))
    assert part is not None
    assert place is not None
    assert padded(part, windows)[0].shape == part.shape
    before = window_starts(whole.shape[1], 32, overlap)
    after = [place[0].start + start for start in window_starts(part.shape[1], 32, overlap)]
    nearest = [min(abs(start - other) for other in before) for start in after]
    assert min(nearest) >= (before[1] - before[0]) // 4
    assert len(after) < len(before)


def test_only_the_common_part_of_the_image_counts() -> None:
    # The image has 3 voxels and one of padding below; the second prediction lacks both ends.
    first = torch.tensor([9, 1, 0, 2]).reshape(1, 4, 1, 1)
    second = torch.tensor([1, 2]).reshape(1, 2, 1, 1)
    whole = slice(0, 1)
    differ, labeled = changed(
        first, second, [slice(1, 3), whole, whole], [slice(2, 4), whole, whole]
    )
    assert differ.flatten().tolist() == [True]  # 0 and 2
    assert labeled.flatten().tolist() == [True]
