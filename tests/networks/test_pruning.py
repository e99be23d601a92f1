"""A network without whole groups computes what the larger one computes with those groups at 0."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from segkit.bundle.bundle import fill_network, read_bundle, write_bundle
from segkit.errors import InputError
from segkit.networks import build_network
from segkit.networks.pruning import (
    ChannelSet,
    channel_sets,
    output_tensors,
    smaller_plan,
    smaller_state,
)
from segkit.plans.plan import LayerPlan, Plan, StagePlan
from segkit.plans.plan_file import plan_from_dict

MakePlan = Callable[..., Plan]
WIDTHS = (8, 12, 16)


def trained(plan: Plan, seed: int = 0) -> dict[str, Tensor]:
    """Return weights as after a training: no scale is 1, no shift or bias is 0."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randint(1, 9, tensor.shape, generator=generator).to(tensor.dtype)
        if not tensor.is_floating_point()
        else torch.rand(tensor.shape, generator=generator) + 0.5
        if name.endswith(("running_var", "running_std"))
        else torch.randn(tensor.shape, generator=generator) / max(1, tensor[:1].numel()) ** 0.5
        for name, tensor in build_network(plan).state_dict().items()
    }


def some(sets: list[ChannelSet], seed: int = 0) -> dict[str, list[int]]:
    """Return channels to keep: as few groups as allowed of each set, or one more, at random."""
    generator = torch.Generator().manual_seed(seed)
    kept: dict[str, list[int]] = {}
    for part in sets:
        groups = part.channels // part.unit
        count = min(
            groups, part.least // part.unit + int(torch.randint(2, (), generator=generator))
        )
        if part.skip:
            count = len(kept[part.skip])
        chosen = torch.randperm(groups, generator=generator)[:count].sort().values.tolist()
        kept[part.name] = [
            group * part.unit + number for group in chosen for number in range(part.unit)
        ]
    return kept


def masked(plan: Plan, state: dict[str, Tensor], kept: dict[str, list[int]]) -> nn.Module:
    """Return the larger network with 0 in kernels, scales and shifts of the other channels."""
    zeros = {name: tensor.clone() for name, tensor in state.items()}
    for part in channel_sets(plan):
        gone = [number for number in range(part.channels) if number not in kept[part.name]]
        for name, axis in output_tensors(part, state):
            if "running" in name:  # statistics are of use only for channels that are not 0
                continue
            zeros[name].index_fill_(axis, torch.tensor(gone, dtype=torch.long), 0.0)
    return fill_network(plan, zeros, "test")


def scan(plan: Plan) -> Tensor:
    edges = plan.patch if plan.dims == 3 else plan.patch[:2]
    return torch.randn(2, 2, *edges, generator=torch.Generator().manual_seed(0))


def two_blocks(plan: Plan) -> Plan:
    """Return the plan of a residual U-Net with a second block, without a shortcut, per stage."""
    stages = tuple(
        replace(
            stage,
            layers=(
                *stage.layers,
                replace(stage.layers[0], name=f"encoder{index}.second.conv1"),
                replace(stage.layers[1], name=f"encoder{index}.second.conv2"),
            ),
        )
        for index, stage in enumerate(plan.network.encoder)
    )
    return replace(plan, network=replace(plan.network, encoder=stages))


@pytest.mark.parametrize(
    ("activation", "seed"), [("leaky_relu", 0), ("leaky_relu", 1), ("silu", 2), ("gelu", 3)]
)
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize(
    ("norm", "per_group"),
    [("group", 2), ("group", 1), ("batch", 0), ("batch_renorm", 0), ("none", 0)],
)
@pytest.mark.parametrize("name", ["unet", "residual_unet"])
def test_t6_the_smaller_network_computes_what_the_masked_one_computes(
    make_plan: MakePlan,
    residual: Callable[[Plan], Plan],
    name: str,
    norm: str,
    per_group: int,
    dims: int,
    activation: str,
    seed: int,
) -> None:
    plan = make_plan(
        widths=WIDTHS, norm=norm, per_group=per_group, dims=dims, activation=activation
    )
    plan = two_blocks(residual(plan)) if name == "residual_unet" else plan
    state, kept = trained(plan), some(channel_sets(plan), seed)
    assert any(len(channels) < 8 for channels in kept.values())
    small = fill_network(smaller_plan(plan, kept), smaller_state(plan, state, kept), "test")
    with torch.inference_mode():
        expected = masked(plan, state, kept).double()(scan(plan).double())
        difference = (small.double()(scan(plan).double()) - expected).abs().max()
        whole = fill_network(plan, state, "test").double()(scan(plan).double())
    # In float64 what remains is far below the bound of 1e-5, whatever the size of the scores.
    assert difference <= 1e-10
    assert (whole - expected).abs().max() > 0.1  # the removal itself does change the scores


def test_t6_in_float32_and_in_training_with_deep_supervision(make_plan: MakePlan) -> None:
    plan = make_plan(widths=(8, 12, 16, 24))
    state, kept = trained(plan), some(channel_sets(plan))
    small = fill_network(smaller_plan(plan, kept), smaller_state(plan, state, kept), "test").train()
    with torch.inference_mode():
        all_expected, all_scores = masked(plan, state, kept).train()(scan(plan)), small(scan(plan))
    assert len(all_scores) == 3
    for expected, scores in zip(all_expected, all_scores, strict=True):
        assert (expected - scores).abs().max() <= 1e-5 * expected.abs().max()


def test_t6_single_channels_of_a_group_are_not_exact_and_refused(make_plan: MakePlan) -> None:
    plan = make_plan(widths=WIDTHS, per_group=4)
    kept = {"encoder.1.0": [0, 1, 4, 5, 8, 9]}  # two of the four channels of each group
    with pytest.raises(ValueError, match=r"encoder.1.0: only whole groups of 4 channels"):
        smaller_plan(plan, kept)
    # Done all the same, with two channels per group, the result is another one.
    state = trained(plan)
    halves = replace(plan, network=_with_layer(plan, ("encoder", 1, 0), channels=6))
    channels = torch.tensor(kept["encoder.1.0"])
    forced = dict(state)
    for name, axis in [
        ("encoder.1.0.conv.weight", 0),
        ("encoder.1.0.norm.weight", 0),
        ("encoder.1.0.norm.bias", 0),
        ("encoder.1.1.conv.weight", 1),
    ]:
        forced[name] = state[name].index_select(axis, channels)
    everything = {part.name: list(range(part.channels)) for part in channel_sets(plan)}
    with torch.inference_mode():
        expected = masked(plan, state, {**everything, **kept})(scan(plan))
        scores = fill_network(halves, forced, "test")(scan(plan))
    assert (scores - expected).abs().max() > 0.01


def _with_layer(plan: Plan, position: tuple[str, int, int], **changes: int) -> object:
    part, stage, layer = position
    stages: list[StagePlan] = list(getattr(plan.network, part))
    layers: list[LayerPlan] = list(stages[stage].layers)
    layers[layer] = replace(layers[layer], **changes)
    stages[stage] = replace(stages[stage], layers=tuple(layers))
    return replace(plan.network, **{part: tuple(stages)})


def test_the_smaller_plan_keeps_channels_per_group_and_says_so_by_itself(
    make_plan: MakePlan,
) -> None:
    plan = make_plan(widths=WIDTHS, per_group=2)
    small = smaller_plan(plan, some(channel_sets(plan)))
    per_group = [layer.channels // layer.groups for layer in small.network.layers]
    assert per_group == [2] * len(plan.network.layers)
    assert small.hash() != plan.hash()
    assert plan_from_dict(small.to_dict()) == small


def test_the_smaller_model_is_an_ordinary_bundle(make_plan: MakePlan, tmp_path: Path) -> None:
    plan = make_plan(widths=WIDTHS)
    state, kept = trained(plan), some(channel_sets(plan))
    small = smaller_plan(plan, kept)
    write_bundle(tmp_path, small, {}, {"0": smaller_state(plan, state, kept)})
    bundle = read_bundle(tmp_path)
    assert bundle.plan == small
    with torch.inference_mode():
        expected = masked(plan, state, kept)(scan(plan))
        difference = (bundle.networks()[0](scan(plan)) - expected).abs().max()
    assert difference <= 1e-5 * expected.abs().max()


def test_channels_that_are_added_up_are_removed_together(
    make_plan: MakePlan, residual: Callable[[Plan], Plan]
) -> None:
    plan = two_blocks(residual(make_plan(widths=WIDTHS)))
    sets = {part.name: part for part in channel_sets(plan)}
    stream = sets["encoder.1.0"]
    assert [part.name for part in stream.writers] == [
        "encoder.1.0.shortcut.1",
        "encoder.1.0.conv2.conv",
        "encoder.1.1.conv2.conv",
    ]
    assert [(part.name, start) for part, start in stream.readers] == [
        ("encoder.1.1.conv1.conv", 0),
        ("encoder.2.0.conv1.conv", 0),
        ("encoder.2.0.shortcut.1", 0),
        ("decoder.0.convs.0.conv", 12),  # after 12 upsampled channels
    ]
    assert (sets["decoder.0.up"].skip, stream.skip) == ("encoder.1.0", "")


def test_groups_of_two_sizes_in_one_sum_are_removed_by_their_least_common_multiple(
    make_plan: MakePlan, residual: Callable[[Plan], Plan]
) -> None:
    plan = residual(make_plan(widths=(12, 12, 24), per_group=2))
    network = _with_layer(plan, ("encoder", 1, 1), groups=4)  # three channels per group
    plan = replace(plan, network=network)
    stream = next(part for part in channel_sets(plan) if part.name == "encoder.1.0")
    assert (stream.unit, stream.least) == (6, math.lcm(2, 3))


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"encoder.9.0": [0, 1]}, "no channels 'encoder.9.0'"),
        ({"head": [0]}, "no channels 'head'"),
        ({"encoder.0.0": [0, 1]}, "at least 4 channels must be kept"),
        ({"encoder.0.0": [2, 3, 0, 1]}, "ascending"),
        ({"encoder.0.0": [0, 1, 2, 3, 8, 9]}, "below 8"),
        ({"encoder.0.1": [0, 1, 2, 3]}, "decoder.1.up must keep as many channels as encoder.0.1"),
    ],
)
def test_what_cannot_be_removed(
    make_plan: MakePlan, kept: dict[str, list[int]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        smaller_plan(make_plan(widths=WIDTHS), kept)


def test_layer_norm_is_refused(make_plan: MakePlan) -> None:
    plan = make_plan(widths=WIDTHS, per_group=4)
    plan = replace(plan, network=_with_layer(plan, ("encoder", 0, 0), groups=1))
    with pytest.raises(
        InputError, match=r"encoder0.conv1: expected two or more groups.*layer norm"
    ):
        channel_sets(plan)


def test_a_norm_that_looks_at_the_kernel_is_refused(make_plan: MakePlan) -> None:
    plan = make_plan(widths=WIDTHS)
    plan = replace(plan, network=_with_layer(plan, ("encoder", 0, 0), norm="group_ws"))
    with pytest.raises(InputError, match=r"group, batch, batch_renorm, none, found group_ws"):
        channel_sets(plan)
