"""Convolutions of a plan (`segkit.plans.convolutions`), compared with the network built from it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from segkit.errors import InputError
from segkit.networks import build_network, count_parameters
from segkit.networks.pruning import smaller_plan
from segkit.plans.convolutions import (
    convolutions,
    is_deep_head,
    multiply_adds,
    parameters,
    resized,
)
from segkit.plans.plan import Plan

MakePlan = Callable[..., Plan]


@pytest.fixture(params=["unet", "residual_unet"])
def build(
    request: pytest.FixtureRequest, make_plan: MakePlan, residual: Callable[[Plan], Plan]
) -> MakePlan:
    """Return the function that makes plans of either network."""
    if request.param == "unet":
        return make_plan
    return lambda **options: residual(make_plan(**options))


@pytest.mark.parametrize("norm", ["group", "batch", "none"])
@pytest.mark.parametrize("dims", [2, 3])
def test_the_closed_form_counts_what_torch_counts(build: MakePlan, dims: int, norm: str) -> None:
    plan = build(widths=(4, 8, 16, 24), norm=norm, dims=dims)
    network = build_network(plan).eval()
    edges = plan.patch if dims == 3 else plan.patch[:2]
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 2, *edges))
    assert multiply_adds(convolutions(plan)) == counter.get_total_flops() // 2
    assert parameters(convolutions(plan)) == count_parameters(network)


def test_every_kernel_of_the_network_is_listed_with_its_shape(build: MakePlan) -> None:
    plan = build()
    tensors = build_network(plan).state_dict()
    listed = {f"{part.name}.weight": part for part in convolutions(plan)}
    assert set(listed) == {name for name, tensor in tensors.items() if tensor.ndim == 5}
    for name, part in listed.items():
        channels = (part.in_channels, part.out_channels)
        expected = channels if part.transposed else channels[::-1]
        assert tuple(tensors[name].shape) == (*expected, *part.kernel)
        assert not part.norm or f"{part.norm}.weight" in tensors


def test_by_hand(make_plan: MakePlan) -> None:
    plan = make_plan(widths=(4, 8))
    # 16 x 16 x 8 voxels, kernels of 9 and 27; the second stage has a quarter of the voxels.
    full, half = 16 * 16 * 8, 8 * 8 * 8
    encoder = 9 * (2 * 4 + 4 * 4) * full + 27 * (4 * 8 + 8 * 8) * half
    decoder = 8 * 4 * full + 9 * (8 * 4 + 4 * 4) * full
    assert multiply_adds(convolutions(plan)) == encoder + decoder + 4 * 3 * full


def test_resized_convolutions_are_those_of_the_resized_plan(build: MakePlan) -> None:
    plan = build(widths=(8, 12, 16))
    kept = {"encoder.0.0" if plan.network.name == "unet" else "encoder.0.0.conv1": [0, 1, 4, 5]}
    kept |= {name: list(range(4)) for name in (_skip(plan), "decoder.1.up")}
    widths = {name: len(channels) for name, channels in kept.items()}
    assert resized(convolutions(plan), widths) == convolutions(smaller_plan(plan, kept))


def _skip(plan: Plan) -> str:
    return next(part for part in convolutions(plan) if part.name == "decoder.1.convs.0.conv").reads[
        1
    ]


def test_heads_of_deep_supervision_cost_nothing_in_prediction(make_plan: MakePlan) -> None:
    plan = make_plan(widths=(4, 8, 16))
    without = replace(plan, network=replace(plan.network, deep_supervision=False))
    assert [part.name for part in convolutions(plan) if is_deep_head(part)] == ["deep_heads.0"]
    assert multiply_adds(convolutions(plan)) == multiply_adds(convolutions(without))
    assert parameters(convolutions(plan)) - parameters(convolutions(without)) == 8 * 3 + 3


def test_other_networks_are_refused(make_plan: MakePlan) -> None:
    plan = make_plan()
    plan = replace(plan, network=replace(plan.network, name="monai_dynunet"))
    with pytest.raises(InputError, match=r"one of unet, residual_unet, .*found monai_dynunet"):
        convolutions(plan)
